// SPDX-License-Identifier: GPL-3.0-or-later
// Language of the window.
#pragma once

class QApplication;

namespace bitsmith::gui {

/// Installs the texts of the system's language, else the plural forms of English.
void installTranslations(QApplication& application);

} // namespace bitsmith::gui
