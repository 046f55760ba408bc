// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/event_queue.h"

#include <algorithm>
#include <iterator>

namespace bitsmith::gui {

EventQueue::EventQueue(std::function<void()> wake)
    : m_wake(std::move(wake))
{ }

void EventQueue::on_event(const Event& event)
{
    bool wake = false;
    {
        const std::lock_guard lock(m_mutex);
        const auto* step = event.get_if<IterationDone>();
        if (step != nullptr && m_events.size() - m_first > kThinAbove
            && step->iteration % 10 != 0) {
            ++m_thinned;
            return;
        }
        m_events.push_back(event);
        wake = !m_wakePending;
        m_wakePending = true;
    }
    if (wake) {
        m_wake();
    }
}

std::vector<Event> EventQueue::take(std::size_t limit)
{
    const std::lock_guard lock(m_mutex);
    const auto begin = m_events.begin() + static_cast<std::ptrdiff_t>(m_first);
    const std::size_t count = std::min(limit, m_events.size() - m_first);
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    std::vector<Event> batch(std::make_move_iterator(begin), std::make_move_iterator(end));
    m_first += count;
    if (m_first == m_events.size()) {
        m_events.clear();
        m_first = 0;
        m_wakePending = false;
    } else if (m_first > kThinAbove) {
        // Room that was read long ago is given back in one move.
        m_events.erase(m_events.begin(), m_events.begin() + static_cast<std::ptrdiff_t>(m_first));
        m_first = 0;
    }
    return batch;
}

std::size_t EventQueue::waiting() const
{
    const std::lock_guard lock(m_mutex);
    return m_events.size() - m_first;
}

std::size_t EventQueue::thinned() const
{
    const std::lock_guard lock(m_mutex);
    return m_thinned;
}

} // namespace bitsmith::gui
