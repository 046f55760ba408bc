// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/theme/color_scale.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bitsmith::ui {

namespace {

constexpr std::array<QRgb, 6> kAnchors = {
    0xff440154, 0xff414487, 0xff2a788e, 0xff22a884, 0xff7ad151, 0xfffde725};

double linear(double channel)
{
    return channel <= 0.04045 ? channel / 12.92 : std::pow((channel + 0.055) / 1.055, 2.4);
}

double luminance(const QColor& c)
{
    return 0.2126 * linear(c.redF()) + 0.7152 * linear(c.greenF()) + 0.0722 * linear(c.blueF());
}

} // namespace

QColor scaleColor(double position)
{
    const double at = std::clamp(position, 0.0, 1.0) * (kAnchors.size() - 1);
    const auto index = std::min<std::size_t>(static_cast<std::size_t>(at), kAnchors.size() - 2);
    const double part = at - static_cast<double>(index);
    const QColor a(kAnchors[index]);
    const QColor b(kAnchors[index + 1]);
    const auto mix = [part](int x, int y) {
        return static_cast<int>(std::lround(x + (y - x) * part));
    };
    return QColor(mix(a.red(), b.red()), mix(a.green(), b.green()), mix(a.blue(), b.blue()));
}

QColor bitsColor(double bits)
{
    // Logarithmic: the step from 2 to 4 bits weighs as much as the one from 4 to 8.
    return scaleColor(1.0 - std::log2(std::clamp(bits, 2.0, 9.0) / 2.0) / std::log2(4.5));
}

bool keepsPrecision(double bits)
{
    return bits >= 16;
}

QColor textOn(const QColor& background)
{
    return luminance(background) > 0.18 ? QColor(0x10, 0x14, 0x1a) : QColor(Qt::white);
}

double contrastRatio(const QColor& a, const QColor& b)
{
    const double x = luminance(a);
    const double y = luminance(b);
    return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

} // namespace bitsmith::ui
