// SPDX-License-Identifier: GPL-3.0-or-later
// The command line that does the same as a job of the window.
#pragma once

#include <bitsmith/job_spec.h>

#include <QString>

namespace bitsmith::ui {

/// `bitsmith-cli quantize MODEL …` with every value that differs from its default; the recipe's
/// numbers are compared with the named recipe. Words are quoted for a POSIX shell.
QString jobCommand(const JobSpec& spec);

/// One word, quoted when a POSIX shell would read more into it.
QString shellQuoted(const QString& word);

} // namespace bitsmith::ui
