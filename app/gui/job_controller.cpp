// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/job_controller.h"

#include <QMetaObject>
#include <QThread>

namespace bitsmith::gui {

namespace {

/// Autograd recurses; secondary threads of some systems start with 512 KB.
constexpr uint kStackBytes = 64u << 20;
/// The window is told at most this often; 20 times a second look continuous.
constexpr int kDrainMs = 50;
/// Events handed over in one go: a batch that is folded well within a frame.
constexpr std::size_t kBatch = 2000;

} // namespace

JobController::JobController(std::unique_ptr<Runner> runner, QObject* parent)
    : QObject(parent)
    , m_runner(std::move(runner))
    , m_queue(
          [this] { QMetaObject::invokeMethod(this, &JobController::onWake, Qt::QueuedConnection); })
{
    m_drainTimer.setSingleShot(true);
    connect(&m_drainTimer, &QTimer::timeout, this, &JobController::drain);
}

JobController::~JobController()
{
    if (m_thread != nullptr) {
        m_control.cancel();
        m_thread->wait();
        delete m_thread;
    }
}

void JobController::setState(State state)
{
    if (state != m_state) {
        m_state = state;
        Q_EMIT stateChanged();
    }
}

void JobController::start(const JobSpec& spec, bool resume)
{
    BITSMITH_ASSERT(m_thread == nullptr);
    m_control = RunControl();
    m_outcome = std::make_shared<Outcome>();
    m_thread = QThread::create(
        [runner = m_runner.get(), queue = &m_queue, outcome = m_outcome, control = m_control, spec,
            resume] { *outcome = runner->run(spec, resume, *queue, control); });
    m_thread->setObjectName(QStringLiteral("job"));
    m_thread->setStackSize(kStackBytes);
    connect(m_thread, &QThread::finished, this, &JobController::onThreadFinished);
    setState(State::Active);
    m_thread->start();
}

void JobController::pause(PauseKind kind)
{
    if (m_state == State::Active) {
        m_control.pause(kind);
        setState(State::Pausing);
    }
}

void JobController::resume()
{
    if (m_state == State::Pausing) {
        m_control.resume();
        setState(State::Active);
    }
}

void JobController::cancel()
{
    if (isActive()) {
        m_control.cancel();
        setState(State::Cancelling);
    }
}

void JobController::onWake()
{
    if (!m_drainTimer.isActive()) {
        m_drainTimer.start(kDrainMs);
    }
}

void JobController::drain()
{
    const std::vector<Event> events = m_queue.take(kBatch);
    if (!events.empty()) {
        Q_EMIT eventsArrived(events);
    }
    if (m_queue.waiting() > 0) {
        // Input and painting come between two batches.
        m_drainTimer.start(1);
    } else if (m_thread != nullptr && m_thread->isFinished()) {
        onThreadFinished();
    }
}

void JobController::onThreadFinished()
{
    if (m_thread == nullptr) {
        return;
    }
    if (m_queue.waiting() > 0) {
        onWake();
        return;
    }
    m_thread->wait();
    m_thread->deleteLater();
    m_thread = nullptr;
    setState(State::Idle);
    Q_EMIT finished(*m_outcome);
}

} // namespace bitsmith::gui
