// SPDX-License-Identifier: GPL-3.0-or-later
// A sentence for people for each kind of failure; the core's own text follows as details.
#pragma once

#include <bitsmith/error.h>

#include <QString>

namespace bitsmith::ui {

/// What happened, in the user's terms ("Not enough memory").
QString errorTitle(ErrorCode code);
/// What is safe and what to do next, one or two sentences.
QString errorAdvice(ErrorCode code);
QString severityText(Severity severity);

} // namespace bitsmith::ui
