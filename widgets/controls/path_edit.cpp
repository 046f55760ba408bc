// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/path_edit.h"

#include "widgets/theme/icons.h"

#include <QComboBox>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QMenu>
#include <QMimeData>
#include <QPushButton>
#include <QSignalBlocker>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

PathEdit::PathEdit(Kind kind, const QString& name, QWidget* parent)
    : QWidget(parent)
    , m_kind(kind)
    , m_edit(new QComboBox)
{
    m_edit->setObjectName(QString(name + u"Edit"_s));
    m_edit->setEditable(true);
    m_edit->setInsertPolicy(QComboBox::NoInsert);
    m_edit->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    m_edit->setMinimumContentsLength(12);
    m_edit->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    auto* browse = new QPushButton(themedIcon(Icon::Folder), tr("Browse…"));
    browse->setObjectName(QString(name + u"Browse"_s));
    if (kind == Kind::FolderOrFile) {
        auto* menu = new QMenu(browse);
        menu->addAction(tr("Model folder…"), this, &PathEdit::browseFolder);
        menu->addAction(tr("GGUF file…"), this, &PathEdit::browseFile);
        browse->setMenu(menu);
    } else {
        connect(browse, &QPushButton::clicked, this,
            kind == Kind::Folder ? &PathEdit::browseFolder : &PathEdit::browseFile);
    }
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_edit, 1);
    layout->addWidget(browse);
    setFocusProxy(m_edit);
    setAcceptDrops(true);
    m_edit->lineEdit()->setAcceptDrops(false);
    connect(m_edit->lineEdit(), &QLineEdit::editingFinished, this, &PathEdit::announce);
    connect(m_edit, &QComboBox::activated, this, &PathEdit::announce);
}

QString PathEdit::path() const
{
    return m_edit->currentText().trimmed();
}

void PathEdit::setPath(const QString& path)
{
    const QSignalBlocker blocker(m_edit);
    m_edit->setEditText(path);
    m_announced = path;
}

void PathEdit::setRecent(const QStringList& paths)
{
    const QString current = m_edit->currentText();
    const QSignalBlocker blocker(m_edit);
    m_edit->clear();
    m_edit->addItems(paths);
    m_edit->setEditText(current);
}

void PathEdit::setPlaceholder(const QString& text)
{
    m_edit->lineEdit()->setPlaceholderText(text);
}

void PathEdit::setAccessibleLabel(const QString& label)
{
    m_edit->setAccessibleName(label);
    m_edit->lineEdit()->setAccessibleName(label);
}

void PathEdit::browseFolder()
{
    choose(QFileDialog::getExistingDirectory(this, tr("Choose a folder"), path()));
}

void PathEdit::browseFile()
{
    choose(QFileDialog::getOpenFileName(this, tr("Choose a file"), path(), m_filter));
}

void PathEdit::choose(const QString& path)
{
    if (!path.isEmpty()) {
        m_edit->setEditText(path);
        announce();
    }
}

void PathEdit::announce()
{
    const QString now = path();
    if (now != m_announced) {
        m_announced = now;
        Q_EMIT pathChanged(now);
    }
}

void PathEdit::dragEnterEvent(QDragEnterEvent* event)
{
    const QList<QUrl> urls = event->mimeData()->urls();
    if (urls.size() == 1 && urls.first().isLocalFile()) {
        event->acceptProposedAction();
    }
}

void PathEdit::dropEvent(QDropEvent* event)
{
    const QList<QUrl> urls = event->mimeData()->urls();
    if (!urls.isEmpty()) {
        choose(urls.first().toLocalFile());
    }
}

} // namespace bitsmith::ui
