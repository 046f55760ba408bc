// SPDX-License-Identifier: GPL-3.0-or-later
// Form rows made from field descriptions: an editor per field, the help text as tooltip, a dot and a
// reset button where the value differs from its default.
#pragma once

#include "widgets/controls/field_values.h"

#include <QWidget>

class QGridLayout;
class QLabel;
class QToolButton;

namespace bitsmith::ui {

class OptionForm : public QWidget
{
    Q_OBJECT

public:
    /// Editors get the object name `prefix` + key. Rows flow into `columns` columns where there is
    /// room, else into one.
    OptionForm(const QString& prefix, const std::vector<FieldDescription>& fields, int columns = 1,
        QWidget* parent = nullptr);

    /// Shows `values` (in the order of the fields) and marks those that differ from `defaults`.
    /// Emits nothing.
    void setValues(const std::vector<FieldValue>& values, const std::vector<FieldValue>& defaults);
    /// Marks the editor of `key` as the cause of an error, or clears the mark with an empty text.
    void setProblem(const std::string& key, const QString& text);
    int changedCount() const;
    /// What stands in an empty optional field; "automatic" by default.
    void setEmptyText(const QString& text);
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void valueEdited(const std::string& key, const bitsmith::ui::FieldValue& value);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    struct Row
    {
        FieldDescription field;
        QWidget* editor = nullptr;
        QLabel* label = nullptr;
        QToolButton* reset = nullptr;
        FieldValue standard;
    };

    Row makeRow(const FieldDescription& field, std::size_t position);
    void layoutRows(int columns);
    int columnWidth() const; ///< of a label, its editor and its reset button
    QWidget* makeEditor(const Row& row);
    QWidget* makeBool(const FieldDescription& field);
    QWidget* makeNumber(const FieldDescription& field);
    QWidget* makeChoice(const FieldDescription& field);
    QWidget* makeText(const FieldDescription& field);
    void show(Row& row, const FieldValue& value);
    static void showInEditor(QWidget* editor, const FieldValue& value);

    QString m_prefix;
    QGridLayout* m_grid;
    int m_wantedColumns;
    int m_columns = 0;
    std::vector<Row> m_rows;
};

} // namespace bitsmith::ui
