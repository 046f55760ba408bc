// SPDX-License-Identifier: GPL-3.0-or-later
// Colours of bits and errors: one scale that grows in lightness, safe for the common colour vision
// deficiencies. Source of the anchors: ui.md 15, the viridis-like choice.
#pragma once

#include <QColor>

namespace bitsmith::ui {

/// Colour at `position` 0 (dark violet) to 1 (yellow); values outside are clamped.
QColor scaleColor(double position);
/// Colour of a layer with that many effective bits per weight; 2 bits are yellow, 8 are dark violet.
/// 16 bits are drawn as an outline instead (keepsPrecision).
QColor bitsColor(double bits);
bool keepsPrecision(double bits);
/// Black or white, whichever reads better on `background`.
QColor textOn(const QColor& background);
/// Contrast ratio of WCAG 2, 1 to 21.
double contrastRatio(const QColor& a, const QColor& b);

} // namespace bitsmith::ui
