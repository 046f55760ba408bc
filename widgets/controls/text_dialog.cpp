// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/text_dialog.h"

#include "widgets/theme/icons.h"

#include <QClipboard>
#include <QDialogButtonBox>
#include <QGuiApplication>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

TextDialog::TextDialog(const QString& title, const QString& text, QWidget* parent)
    : QDialog(parent)
{
    setObjectName(u"textDialog"_s);
    setAttribute(Qt::WA_DeleteOnClose);
    setWindowTitle(title);
    auto* view = new QPlainTextEdit(text);
    view->setObjectName(u"textDialogText"_s);
    view->setAccessibleName(title);
    view->setReadOnly(true);
    view->setTabChangesFocus(true);
    auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close);
    auto* copy = buttons->addButton(tr("Copy"), QDialogButtonBox::ActionRole);
    copy->setObjectName(u"textDialogCopyButton"_s);
    copy->setIcon(themedIcon(Icon::Copy));
    connect(
        copy, &QPushButton::clicked, this, [text] { QGuiApplication::clipboard()->setText(text); });
    connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
    auto* layout = new QVBoxLayout(this);
    layout->addWidget(view, 1);
    layout->addWidget(buttons);
    resize(fontMetrics().averageCharWidth() * 100, fontMetrics().height() * 36);
}

} // namespace bitsmith::ui
