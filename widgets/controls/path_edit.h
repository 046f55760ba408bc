// SPDX-License-Identifier: GPL-3.0-or-later
// A path that can be typed, browsed for, dropped, or picked from the recent ones.
#pragma once

#include <QWidget>

class QComboBox;

namespace bitsmith::ui {

class PathEdit : public QWidget
{
    Q_OBJECT

public:
    enum class Kind
    {
        Folder,
        FolderOrFile, ///< a model: folder, .gguf file, or Hub id
        File
    };

    /// The edit inside gets the object name `name` + "Edit", the button `name` + "Browse".
    PathEdit(Kind kind, const QString& name, QWidget* parent = nullptr);

    QString path() const;
    void setPath(const QString& path); ///< emits nothing
    void setRecent(const QStringList& paths);
    void setPlaceholder(const QString& text);
    void setFileFilter(const QString& filter) { m_filter = filter; }
    void setAccessibleLabel(const QString& label);

Q_SIGNALS:
    void pathChanged(const QString& path); ///< by the user, when typing ends or a path is chosen

protected:
    void dragEnterEvent(QDragEnterEvent* event) override;
    void dropEvent(QDropEvent* event) override;

private:
    void browseFolder();
    void browseFile();
    void choose(const QString& path);
    void announce();

    Kind m_kind;
    QString m_filter;
    QString m_announced;
    QComboBox* m_edit;
};

} // namespace bitsmith::ui
