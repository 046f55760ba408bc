// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers, sizes and times as people read them, in the user's locale. Every figure on screen goes
// through here.
#pragma once

#include <QString>

#include <cstdint>
#include <string_view>

namespace bitsmith::ui {

/// UTF-8 of the core as text of the window.
QString toQString(std::string_view utf8);

/// What stands for a value that is not known.
QString unknownValue();

/// "655 MB"; decimal units, as on a drive's box.
QString formatBytes(int64_t bytes);
/// "134.5 M" weights, "8.2 B" weights.
QString formatParameters(int64_t count);
/// "1 h 04 min", "2 min 13 s", "4.2 s".
QString formatDuration(double seconds);
/// "about 18–24 min"; both ends rounded to the same unit.
QString formatDurationRange(double lowSeconds, double highSeconds);
/// Four significant digits; scientific below 0.001 and above 100,000. NaN gives unknownValue().
QString formatReal(double value);
/// A fixed number of decimals.
QString formatFixed(double value, int decimals);
/// "93.2 %" from 0.932.
QString formatPercent(double ratio, int decimals = 1);
/// "+0.9 %" or "−3.1 %", sign always shown.
QString formatChange(double ratio, int decimals = 1);
/// "12 min ago", "3 days ago" for a time in milliseconds since the epoch.
QString formatAge(int64_t timeMs, int64_t nowMs);
/// "576 × 1536".
QString formatShape(int64_t rows, int64_t columns);
/// Last part of a path or Hub id, for titles.
QString shortModelName(const QString& path);

} // namespace bitsmith::ui
