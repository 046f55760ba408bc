// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/context.h"

#include "base/timing.h"

namespace bitsmith {

void EventEmitter::emit(EventBody body)
{
    observer_.on_event(Event{sequence_++, now_ms(), std::move(body)});
}

Random RunContext::random(std::string_view purpose, uint64_t index) const
{
    return Random(seed, purpose, index);
}

void RunContext::checkpoint()
{
    control.checkpoint([this](bool paused) {
        if (paused) {
            events.emit(JobPaused{});
        } else {
            events.emit(JobResumed{});
        }
    });
}

} // namespace bitsmith
