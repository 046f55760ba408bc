// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of every page in both themes, from recorded events; needs no display and no model.
#pragma once

#include <bitsmith/event.h>

#include <QString>

namespace bitsmith::ui {
class Theme;
}

namespace bitsmith::gui {

/// Writes PAGE-light.png and PAGE-dark.png into `folder`, which is made when missing. Throws
/// WriteFailed.
void writeScreenshots(ui::Theme& theme, const std::vector<Event>& recording, const QString& folder);

} // namespace bitsmith::gui
