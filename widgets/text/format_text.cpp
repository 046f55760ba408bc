// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/text/format_text.h"

#include <QCoreApplication>
#include <QLocale>

#include <cmath>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

struct Text
{
    Q_DECLARE_TR_FUNCTIONS(format)
};

struct TimeUnit
{
    double seconds;
    const char* range;
};

/// Unit in which a range of times is told: the largest that leaves at least two units.
TimeUnit unitOf(double seconds)
{
    if (seconds >= 2 * 3600) {
        return {3600, QT_TRANSLATE_NOOP("format", "about %1–%2 h")};
    }
    if (seconds >= 120) {
        return {60, QT_TRANSLATE_NOOP("format", "about %1–%2 min")};
    }
    return {1, QT_TRANSLATE_NOOP("format", "about %1–%2 s")};
}

const char* singleOf(double unitSeconds)
{
    if (unitSeconds == 3600) {
        return QT_TRANSLATE_NOOP("format", "about %1 h");
    }
    return unitSeconds == 60 ? QT_TRANSLATE_NOOP("format", "about %1 min")
                             : QT_TRANSLATE_NOOP("format", "about %1 s");
}

} // namespace

QString toQString(std::string_view utf8)
{
    return QString::fromUtf8(utf8.data(), static_cast<qsizetype>(utf8.size()));
}

QString unknownValue()
{
    return u"—"_s;
}

QString formatBytes(int64_t bytes)
{
    const int decimals = bytes >= 1000000000 ? 2 : bytes >= 100000000 ? 0 : 1;
    return QLocale().formattedDataSize(bytes, decimals, QLocale::DataSizeSIFormat);
}

QString formatParameters(int64_t count)
{
    const QLocale locale;
    if (count >= 1000000000) {
        return Text::tr("%1 B").arg(locale.toString(static_cast<double>(count) / 1e9, 'f', 1));
    }
    if (count >= 1000000) {
        return Text::tr("%1 M").arg(locale.toString(static_cast<double>(count) / 1e6, 'f', 1));
    }
    return locale.toString(static_cast<qlonglong>(count));
}

QString formatDuration(double seconds)
{
    const QLocale locale;
    if (!std::isfinite(seconds) || seconds < 0) {
        return unknownValue();
    }
    if (seconds < 10) {
        return Text::tr("%1 s").arg(locale.toString(seconds, 'f', 1));
    }
    const auto whole = static_cast<qlonglong>(std::llround(seconds));
    if (whole < 60) {
        return Text::tr("%1 s").arg(locale.toString(whole));
    }
    if (whole < 3600) {
        return Text::tr("%1 min %2 s").arg(whole / 60).arg(whole % 60, 2, 10, QLatin1Char('0'));
    }
    return Text::tr("%1 h %2 min")
        .arg(whole / 3600)
        .arg(whole % 3600 / 60, 2, 10, QLatin1Char('0'));
}

QString formatDurationRange(double lowSeconds, double highSeconds)
{
    const TimeUnit unit = unitOf(highSeconds);
    const auto low = std::max<qlonglong>(1, std::llround(lowSeconds / unit.seconds));
    const auto high = std::max<qlonglong>(1, std::llround(highSeconds / unit.seconds));
    if (low >= high) {
        return Text::tr(singleOf(unit.seconds)).arg(high);
    }
    return Text::tr(unit.range).arg(low).arg(high);
}

QString formatReal(double value)
{
    if (!std::isfinite(value)) {
        return unknownValue();
    }
    const double size = std::abs(value);
    if (size != 0 && (size < 1e-2 || size >= 1e5)) {
        return QLocale().toString(value, 'e', 2);
    }
    return QLocale().toString(value, 'g', 4);
}

QString formatFixed(double value, int decimals)
{
    return std::isfinite(value) ? QLocale().toString(value, 'f', decimals) : unknownValue();
}

QString formatPercent(double ratio, int decimals)
{
    return Text::tr("%1 %").arg(formatFixed(ratio * 100, decimals));
}

QString formatChange(double ratio, int decimals)
{
    const QString digits = formatPercent(std::abs(ratio), decimals);
    return (ratio < 0 ? u"−"_s : u"+"_s) + digits;
}

QString formatAge(int64_t timeMs, int64_t nowMs)
{
    const int64_t seconds = std::max<int64_t>(0, (nowMs - timeMs) / 1000);
    if (seconds < 60) {
        return Text::tr("just now");
    }
    if (seconds < 3600) {
        return Text::tr("%n min ago", nullptr, static_cast<int>(seconds / 60));
    }
    if (seconds < 86400) {
        return Text::tr("%n h ago", nullptr, static_cast<int>(seconds / 3600));
    }
    const auto days = static_cast<int>(seconds / 86400);
    return days == 1 ? Text::tr("yesterday") : Text::tr("%n days ago", nullptr, days);
}

QString formatShape(int64_t rows, int64_t columns)
{
    return u"%1 × %2"_s.arg(rows).arg(columns);
}

QString shortModelName(const QString& path)
{
    QString text = path;
    while (text.endsWith(QLatin1Char('/'))) {
        text.chop(1);
    }
    const QString last = text.section(QLatin1Char('/'), -1);
    return last.endsWith(".gguf"_L1, Qt::CaseInsensitive) ? last.chopped(5) : last;
}

} // namespace bitsmith::ui
