// SPDX-License-Identifier: GPL-3.0-or-later
// Words for states and stages of a run.
#pragma once

#include "widgets/state/run_picture.h"
#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

namespace bitsmith::ui {

/// State as text, icon and colour together: never by colour alone.
struct StateLook
{
    QString text;
    Icon icon;
    ColorRole role;
};

StateLook lookOf(RunPhase phase);
StateLook lookOf(JobState state);
QString stageTitle(Stage stage);
/// "Block 18 of 30, step 31 of 50", or what the active stage is doing.
QString activityText(const RunPicture& picture);
/// "W4A16G64 · default · cpu".
QString jobLine(const QString& scheme, const QString& recipe, const QString& device);

} // namespace bitsmith::ui
