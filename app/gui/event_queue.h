// SPDX-License-Identifier: GPL-3.0-or-later
// Carries events from the job's thread to the window's. Source: style.md 14.
#pragma once

#include <bitsmith/observer.h>

#include <functional>
#include <mutex>
#include <vector>

namespace bitsmith::gui {

/// Receives events on the job's thread and keeps them until the window takes them. At most one
/// wake-up is pending, so a slow window gets larger batches instead of a longer queue of calls.
class EventQueue : public Observer
{
public:
    /// More waiting events than this, and IterationDone is thinned to every tenth iteration; every
    /// other event arrives.
    static constexpr std::size_t kThinAbove = 10000;

    /// `wake` is called on the job's thread and must only post a call to the window's thread.
    explicit EventQueue(std::function<void()> wake);

    void on_event(const Event& event) override;

    /// Window's side: up to `limit` oldest events. When some are left behind the wake-up stays
    /// pending, and the caller has to come again.
    std::vector<Event> take(std::size_t limit);
    std::size_t waiting() const;
    std::size_t thinned() const;

private:
    std::function<void()> m_wake;
    mutable std::mutex m_mutex;
    std::vector<Event> m_events;
    std::size_t m_first = 0; ///< events before it have been taken
    std::size_t m_thinned = 0;
    bool m_wakePending = false;
};

} // namespace bitsmith::gui
