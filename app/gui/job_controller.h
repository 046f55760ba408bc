// SPDX-License-Identifier: GPL-3.0-or-later
// Owns the job's thread: start, pause, resume, cancel; hands events to the window in small batches.
#pragma once

#include "app/gui/event_queue.h"
#include "app/gui/runner.h"

#include <QObject>
#include <QTimer>

#include <memory>

class QThread;

namespace bitsmith::gui {

class JobController : public QObject
{
    Q_OBJECT

public:
    enum class State
    {
        Idle,
        Active,
        Pausing, ///< asked; the job has not reported it yet, or is paused
        Cancelling
    };

    explicit JobController(std::unique_ptr<Runner> runner, QObject* parent = nullptr);
    /// Cancels a running job and waits for it.
    ~JobController() override;

    State state() const { return m_state; }
    bool isActive() const { return m_state != State::Idle; }

    /// Starts a job, or continues the run in spec.runtime.run_dir. Only while idle.
    void start(const JobSpec& spec, bool resume);
    void pause(PauseKind kind);
    void resume();
    void cancel();
    const EventQueue& queue() const { return m_queue; }

Q_SIGNALS:
    void stateChanged();
    void eventsArrived(const std::vector<bitsmith::Event>& events);
    /// After the last event has been handed over.
    void finished(const bitsmith::Outcome& outcome);

private:
    void setState(State state);
    void onWake();
    void drain();
    void onThreadFinished();

    std::unique_ptr<Runner> m_runner;
    EventQueue m_queue;
    RunControl m_control;
    State m_state = State::Idle;
    QThread* m_thread = nullptr;
    std::shared_ptr<Outcome> m_outcome; ///< written by the job's thread before it ends
    QTimer m_drainTimer;
};

} // namespace bitsmith::gui
