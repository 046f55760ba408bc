// SPDX-License-Identifier: GPL-3.0-or-later
// What every long function of the engine receives.
#pragma once

#include "base/random.h"

#include <bitsmith/control.h>
#include <bitsmith/observer.h>

#include <string>

namespace bitsmith {

/// Gives events their number and time. Used on the job's thread only.
class EventEmitter
{
public:
    /// `observer` must outlive the emitter.
    explicit EventEmitter(Observer& observer)
        : observer_(observer)
    { }
    void emit(EventBody body);
    void warn(std::string id, std::string text) { emit(Warning{std::move(id), std::move(text)}); }

private:
    Observer& observer_;
    int64_t sequence_ = 0;
};

/// First parameter of long functions, by reference, never stored beyond the call.
struct RunContext
{
    EventEmitter& events;
    RunControl control;
    std::string device = "cpu"; ///< resolved: "cpu" or "cuda:N"
    uint64_t seed = 42;

    /// A generator of its own for `purpose` and `index`, so that what one stage draws never depends
    /// on how much another stage has drawn: a resumed run sees the same numbers as an undisturbed
    /// one.
    Random random(std::string_view purpose, uint64_t index = 0) const;

    /// Safe point: emits JobPaused/JobResumed around a pause, throws Cancelled.
    void checkpoint();
};

} // namespace bitsmith
