// SPDX-License-Identifier: GPL-3.0-or-later
// How long the tuning of the remaining blocks will take, as a range. Source: ui.md 8.2.
#pragma once

#include "widgets/state/run_picture.h"

#include <optional>

namespace bitsmith::ui {

struct TimeRange
{
    double low = 0; ///< seconds
    double high = 0;
};

/// From the last five blocks that were computed in this start; empty before two of them, when
/// nothing is left to tune, or when the run does not move. Blocks taken from the run folder do not
/// count.
std::optional<TimeRange> remainingTime(const RunPicture& picture);

/// Keeps a shown range steady: it changes only when it moved by more than a tenth and at most every
/// five seconds.
class SteadyRange
{
public:
    std::optional<TimeRange> update(std::optional<TimeRange> fresh, int64_t nowMs);

private:
    std::optional<TimeRange> m_shown;
    int64_t m_changedMs = 0;
};

} // namespace bitsmith::ui
