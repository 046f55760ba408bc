// SPDX-License-Identifier: GPL-3.0-or-later
// A scroll area without frame or background of its own, for pages made of cards.
#pragma once

class QScrollArea;
class QWidget;

namespace bitsmith::ui {

/// Scrolls `content`, which it owns, vertically only.
QScrollArea* plainScrollArea(QWidget* content);

} // namespace bitsmith::ui
