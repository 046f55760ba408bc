// SPDX-License-Identifier: GPL-3.0-or-later
// Receivers of events.
#pragma once

#include <bitsmith/event.h>

#include <vector>

namespace bitsmith {

/// Receives every event of a job, on the job's thread. Must return quickly and must not throw.
class Observer
{
public:
    virtual ~Observer() = default;
    virtual void on_event(const Event& event) = 0;
};

class NullObserver : public Observer
{
public:
    void on_event(const Event&) override { }
};

/// Keeps all events; for tests.
class RecordingObserver : public Observer
{
public:
    void on_event(const Event& event) override { events.push_back(event); }
    std::vector<Event> events;
};

/// Passes each event on to several observers, which must outlive it.
class FanOutObserver : public Observer
{
public:
    explicit FanOutObserver(std::vector<Observer*> observers)
        : observers_(std::move(observers))
    { }
    void on_event(const Event& event) override
    {
        for (Observer* observer : observers_) {
            observer->on_event(event);
        }
    }

private:
    std::vector<Observer*> observers_;
};

} // namespace bitsmith
