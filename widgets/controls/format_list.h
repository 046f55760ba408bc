// SPDX-License-Identifier: GPL-3.0-or-later
// Output formats to tick. A format that cannot hold the scheme stays visible and says why.
#pragma once

#include <bitsmith/scheme.h>

#include <QWidget>

class QCheckBox;
class QLabel;

namespace bitsmith::ui {

class FormatList : public QWidget
{
    Q_OBJECT

public:
    /// One box per entry of format_catalog(), named "format_" + id.
    explicit FormatList(QWidget* parent = nullptr);

    void setFormats(const std::vector<std::string>& ids); ///< emits nothing
    /// Shows for every format whether it holds `scheme`; null: not known.
    void setScheme(const Scheme* scheme);

Q_SIGNALS:
    void formatsEdited(const std::vector<std::string>& ids);

private:
    struct Row
    {
        std::string id;
        QCheckBox* box;
        QLabel* note;
        QString layout;
    };

    void onToggled();

    std::vector<Row> m_rows;
};

} // namespace bitsmith::ui
