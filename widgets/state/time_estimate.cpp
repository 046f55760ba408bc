// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/state/time_estimate.h"

#include <algorithm>
#include <cmath>

namespace bitsmith::ui {

std::optional<TimeRange> remainingTime(const RunPicture& picture)
{
    if (picture.phase != RunPhase::Running
        || picture.stages[static_cast<std::size_t>(Stage::Tune)].state != PartState::Active) {
        return std::nullopt;
    }
    std::vector<double> seconds;
    double left = 0;
    for (const BlockPicture& block : picture.blocks) {
        if (block.result && !block.result->resumed) {
            seconds.push_back(block.result->seconds);
        }
        if (block.state == PartState::Waiting) {
            left += 1;
        } else if (block.state == PartState::Active) {
            left += block.iters > 0 ? std::max(0.0,
                        1
                            - static_cast<double>(block.series.steps.size())
                                / static_cast<double>(block.iters))
                                    : 1;
        }
    }
    if (seconds.size() < 2 || left <= 0) {
        return std::nullopt;
    }
    const auto recent = std::min<std::size_t>(seconds.size(), 5);
    std::sort(seconds.end() - static_cast<std::ptrdiff_t>(recent), seconds.end());
    const double low = seconds[seconds.size() - recent];
    const double high = seconds.back();
    // Calibration is over; export and evaluation follow and are told by their own progress.
    return TimeRange{left * low, left * high * 1.1};
}

std::optional<TimeRange> SteadyRange::update(std::optional<TimeRange> fresh, int64_t nowMs)
{
    if (!fresh || !m_shown) {
        m_shown = fresh;
        m_changedMs = nowMs;
        return m_shown;
    }
    const bool moved = std::abs(fresh->high - m_shown->high) > 0.1 * m_shown->high
        || std::abs(fresh->low - m_shown->low) > 0.1 * m_shown->low;
    if (moved && nowMs - m_changedMs >= 5000) {
        m_shown = fresh;
        m_changedMs = nowMs;
    }
    return m_shown;
}

} // namespace bitsmith::ui
