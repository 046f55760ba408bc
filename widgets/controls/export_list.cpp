// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_list.h"

#include "widgets/text/format_text.h"
#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace bitsmith::ui {

ExportList::ExportList(QWidget* parent)
    : QWidget(parent)
    , m_layout(new QVBoxLayout(this))
{
    setObjectName(QStringLiteral("exportList"));
    m_layout->setContentsMargins(0, 0, 0, 0);
    m_layout->setSpacing(4);
    m_layout->addStretch();
}

void ExportList::setExports(const std::vector<ExportFinished>& exports)
{
    if (exports == m_shown) {
        return;
    }
    m_shown = exports;
    while (m_layout->count() > 1) {
        QLayoutItem* item = m_layout->takeAt(0);
        delete item->widget();
        delete item;
    }
    for (const ExportFinished& item : m_shown) {
        const int row = m_layout->count() - 1;
        m_layout->insertWidget(row, makeRow(item, row));
    }
}

QWidget* ExportList::makeRow(const ExportFinished& item, int index)
{
    auto* row = new QWidget;
    auto* layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    auto* mark = new QLabel;
    const QColor color = roleColor(palette(), item.verified ? ColorRole::Good : ColorRole::Caution);
    const int side = fontMetrics().height();
    mark->setPixmap(
        coloredIcon(item.verified ? Icon::Check : Icon::Warning, color).pixmap(side, side));
    mark->setAccessibleName(item.verified ? tr("Read back and checked") : tr("Not checked"));
    mark->setToolTip(mark->accessibleName());
    auto* format = new QLabel(toQString(item.format));
    format->setFont(scaledFont(1, QFont::DemiBold));
    auto* size = new QLabel(formatBytes(item.bytes));
    size->setProperty("muted", true);
    auto* state = new QLabel(item.verified ? tr("verified") : tr("not checked"));
    state->setProperty("muted", true);
    auto* open = new QPushButton(themedIcon(Icon::Folder), tr("Show"));
    open->setObjectName(QStringLiteral("exportShow%1").arg(index));
    open->setProperty("flat", true);
    open->setToolTip(toQString(item.path));
    open->setAccessibleName(tr("Show the files of %1").arg(toQString(item.format)));
    const QString path = toQString(item.path);
    connect(open, &QPushButton::clicked, this, [this, path] { Q_EMIT openRequested(path); });
    layout->addWidget(mark);
    layout->addWidget(format);
    layout->addWidget(size);
    layout->addWidget(state);
    layout->addStretch();
    layout->addWidget(open);
    return row;
}

} // namespace bitsmith::ui
