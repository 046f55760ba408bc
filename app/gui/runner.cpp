// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/runner.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace bitsmith::gui {

Outcome ThreadRunner::run(const JobSpec& spec, bool resume, Observer& observer, RunControl control)
{
    return bitsmith::run(spec, resume, observer, std::move(control));
}

ReplayRunner::ReplayRunner(std::vector<Event> events, double speed)
    : m_events(std::move(events))
    , m_speed(speed)
{ }

Outcome ReplayRunner::run(const JobSpec&, bool, Observer& observer, RunControl control)
{
    Outcome outcome;
    int64_t sequence = 0;
    int64_t lastMs = m_events.empty() ? 0 : m_events.front().time_ms;
    const auto emitBody = [&](EventBody body) {
        observer.on_event({sequence++, lastMs, std::move(body)});
    };
    try {
        for (const Event& event : m_events) {
            if (m_speed > 0) {
                const double waitMs = static_cast<double>(event.time_ms - lastMs) / m_speed;
                std::this_thread::sleep_for(
                    std::chrono::duration<double, std::milli>(std::clamp(waitMs, 0.0, 1000.0)));
            }
            lastMs = event.time_ms;
            control.checkpoint(
                [&](bool paused) { paused ? emitBody(JobPaused()) : emitBody(JobResumed()); });
            emitBody(event.body);
            if (event.get_if<BlockFinished>() != nullptr) {
                control.block_finished();
            }
            if (const auto* finished = event.get_if<JobFinished>()) {
                outcome.state = finished->state;
                outcome.message = finished->message;
            }
        }
    } catch (const Cancelled&) {
        outcome.state = JobState::Cancelled;
        emitBody(JobFinished{JobState::Cancelled, {}, {}, 0});
    }
    return outcome;
}

} // namespace bitsmith::gui
