// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/field_values.h"

#include <QLocale>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

QString fieldValueText(const FieldValue& value)
{
    if (const auto* flag = std::get_if<bool>(&value)) {
        return *flag ? u"true"_s : u"false"_s;
    }
    if (const auto* number = std::get_if<int64_t>(&value)) {
        return QString::number(*number);
    }
    if (const auto* real = std::get_if<double>(&value)) {
        return QLocale::c().toString(*real, 'g', QLocale::FloatingPointShortest);
    }
    if (const auto* text = std::get_if<std::string>(&value)) {
        return QString::fromStdString(*text);
    }
    return {};
}

} // namespace bitsmith::ui
