// SPDX-License-Identifier: GPL-3.0-or-later
// Titles of options as a newcomer reads them; help texts come from the core's field descriptions.
#pragma once

#include <QString>

#include <string_view>

namespace bitsmith::ui {

/// "Steps per block" for "iters"; a key without a title of its own becomes words.
QString fieldTitle(std::string_view key);
/// The core's help text, translated where a translation exists.
QString fieldHelp(std::string_view help);
/// What the smallest value of a number stands for ("never"); empty when it is just a number.
QString smallestMeaning(std::string_view key);
/// Word of an enumerator ("holdout" → "Held-out samples").
QString choiceTitle(std::string_view key, std::string_view choice);

} // namespace bitsmith::ui
