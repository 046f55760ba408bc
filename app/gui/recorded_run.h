// SPDX-License-Identifier: GPL-3.0-or-later
// Events of a run as JSON lines, as `bitsmith-cli quantize --events FILE` writes them.
#pragma once

#include <bitsmith/event.h>

#include <QString>

#include <vector>

namespace bitsmith::gui {

/// Events of `file` (a path or a resource); kinds that this version does not know are left out.
/// Throws FileNotFound or FileCorrupt.
std::vector<Event> readRecordedRun(const QString& file);

/// The recording that comes with the program; --screenshots shows it.
QString bundledRecording();

} // namespace bitsmith::gui
