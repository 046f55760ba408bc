// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/log_view.h"

#include "widgets/models/log_model.h"

#include <QAction>
#include <QClipboard>
#include <QGuiApplication>
#include <QHeaderView>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollBar>
#include <QSortFilterProxyModel>
#include <QTableView>
#include <QVBoxLayout>

namespace bitsmith::ui {

namespace {

class LogFilter : public QSortFilterProxyModel
{
public:
    using QSortFilterProxyModel::QSortFilterProxyModel;

    void setWarningsOnly(bool on)
    {
        m_warningsOnly = on;
        invalidateFilter();
    }

protected:
    bool filterAcceptsRow(int row, const QModelIndex& parent) const override
    {
        const QModelIndex index = sourceModel()->index(row, 0, parent);
        if (m_warningsOnly && !index.data(LogModel::WarningRole).toBool()) {
            return false;
        }
        return QSortFilterProxyModel::filterAcceptsRow(row, parent);
    }

private:
    bool m_warningsOnly = false;
};

} // namespace

QTableView* makeTable(const QString& name, const QString& accessibleName)
{
    auto* table = new QTableView;
    table->setObjectName(name);
    table->setAccessibleName(accessibleName);
    table->setFrameShape(QFrame::NoFrame);
    table->setShowGrid(false);
    table->setAlternatingRowColors(true);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    table->setWordWrap(false);
    table->setTabKeyNavigation(false);
    table->verticalHeader()->hide();
    table->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 8);
    table->horizontalHeader()->setHighlightSections(false);
    table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    return table;
}

LogView::LogView(LogModel* model, QWidget* parent)
    : QWidget(parent)
    , m_table(makeTable(QStringLiteral("logTable"), tr("Log")))
    , m_filter(new QLineEdit)
{
    auto* proxy = new LogFilter(this);
    m_proxy = proxy;
    m_proxy->setSourceModel(model);
    m_proxy->setFilterKeyColumn(-1);
    m_proxy->setFilterCaseSensitivity(Qt::CaseInsensitive);
    m_table->setModel(m_proxy);
    m_table->horizontalHeader()->hide();
    m_table->horizontalHeader()->setStretchLastSection(true);
    m_table->setColumnWidth(
        LogModel::Time, fontMetrics().horizontalAdvance(QStringLiteral("00:00:00")) + 20);
    m_table->setColumnWidth(
        LogModel::Area, fontMetrics().horizontalAdvance(QStringLiteral("calibrate")) + 36);
    m_filter->setObjectName(QStringLiteral("logFilterEdit"));
    m_filter->setPlaceholderText(tr("Filter"));
    m_filter->setAccessibleName(tr("Filter the log"));
    m_filter->setClearButtonEnabled(true);
    connect(
        m_filter, &QLineEdit::textChanged, m_proxy, &QSortFilterProxyModel::setFilterFixedString);
    auto* warnings = new QPushButton(tr("Warnings only"));
    warnings->setObjectName(QStringLiteral("logWarningsButton"));
    warnings->setProperty("segment", true);
    warnings->setCheckable(true);
    connect(
        warnings, &QPushButton::toggled, this, [proxy](bool on) { proxy->setWarningsOnly(on); });
    auto* copy = new QAction(tr("Copy"), m_table);
    copy->setShortcut(QKeySequence::Copy);
    copy->setShortcutContext(Qt::WidgetShortcut);
    m_table->addAction(copy);
    connect(copy, &QAction::triggered, this, &LogView::copySelection);
    const QScrollBar* bar = m_table->verticalScrollBar();
    connect(model, &QAbstractItemModel::rowsAboutToBeInserted, this,
        [this, bar] { m_atEnd = bar->value() >= bar->maximum(); });
    connect(model, &QAbstractItemModel::rowsInserted, this, [this] {
        if (m_atEnd) {
            m_table->scrollToBottom();
        }
    });
    auto* tools = new QHBoxLayout;
    tools->addWidget(m_filter, 1);
    tools->addWidget(warnings);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 8, 0, 0);
    layout->addLayout(tools);
    layout->addWidget(m_table, 1);
}

void LogView::copySelection() const
{
    QStringList lines;
    for (const QModelIndex& row : m_table->selectionModel()->selectedRows()) {
        QStringList cells;
        for (int column = 0; column < LogModel::ColumnCount; ++column) {
            cells << row.siblingAtColumn(column).data().toString();
        }
        lines << cells.join(QLatin1Char('\t'));
    }
    QGuiApplication::clipboard()->setText(lines.join(QLatin1Char('\n')));
}

} // namespace bitsmith::ui
