// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/services/export_thread.h"

#include "app/gui/services/pool_call.h"
#include "widgets/text/format_text.h"

#include <QElapsedTimer>
#include <QThread>

namespace bitsmith::gui {

namespace {

namespace fs = std::filesystem;

/// The window is told at most this often, and of the last tensor.
constexpr qint64 kProgressMs = 50;

/// What a call of the core gave, or why it gave nothing.
template <class Value>
struct Answer
{
    Value value;
    QString message;
};

template <class Value, class Call>
Answer<Value> answerOf(const Call& call)
{
    try {
        return {call(), {}};
    } catch (const std::exception& error) {
        return {{}, ui::toQString(error.what())};
    }
}

/// Free bytes where `folder` is or would be made; -1 when the system does not say.
qint64 freeBytes(const fs::path& folder)
{
    std::error_code error;
    fs::path place = fs::absolute(folder, error);
    while (!fs::exists(place, error) && place.has_relative_path()) {
        place = place.parent_path();
    }
    const fs::space_info space = fs::space(place, error);
    return error ? -1 : static_cast<qint64>(space.available);
}

/// Takes the progress and the notes out of the events of one export.
class ExportObserver : public Observer
{
public:
    explicit ExportObserver(std::function<void(const StageProgress&)> report)
        : m_report(std::move(report))
    { }

    void on_event(const Event& event) override
    {
        if (const auto* warning = event.get_if<Warning>()) {
            notes << ui::toQString(warning->text);
        }
        const auto* progress = event.get_if<StageProgress>();
        const bool due = !m_sinceReport.isValid() || m_sinceReport.elapsed() >= kProgressMs;
        if (progress != nullptr && (due || progress->done == progress->total)) {
            m_sinceReport.start();
            m_report(*progress);
        }
    }

    QStringList notes;

private:
    std::function<void(const StageProgress&)> m_report;
    QElapsedTimer m_sinceReport;
};

} // namespace

ExportThread::ExportThread(ExportCalls calls, QObject* parent)
    : ExportWorker(parent)
    , m_calls(std::move(calls))
{ }

ExportThread::~ExportThread()
{
    if (m_thread != nullptr) {
        m_control.cancel();
        m_thread->wait();
        delete m_thread;
    }
}

void ExportThread::findOffers(const QString& run)
{
    using Choices = std::pair<ExportFacts, std::vector<ExportOffer>>;
    callInPool(
        this,
        [calls = m_calls, run = run.toStdString()] {
            return answerOf<Choices>([&] { return Choices(calls.facts(run), calls.offers(run)); });
        },
        [this](const Answer<Choices>& answer) {
            if (!answer.message.isEmpty()) {
                Q_EMIT offersFailed(answer.message);
                return;
            }
            Q_EMIT factsFound(answer.value.first);
            Q_EMIT offersFound(answer.value.second);
        });
}

void ExportThread::findCard(
    const QString& run, const std::string& format, const ExportDetails& details)
{
    callInPool(
        this,
        [card = m_calls.card, run = run.toStdString(), format, details] {
            return answerOf<std::string>([&] { return card(run, format, details); });
        },
        [this, format](const Answer<std::string>& answer) {
            answer.message.isEmpty() ? Q_EMIT cardFound(format, ui::toQString(answer.value))
                                     : Q_EMIT cardFailed(format, answer.message);
        });
}

void ExportThread::findFreeSpace(const QString& folder)
{
    callInPool(
        this, [path = folder.toStdString()] { return freeBytes(path); },
        [this, folder](qint64 bytes) { Q_EMIT freeSpaceFound(folder, bytes); });
}

void ExportThread::startExports(const QString& run, const std::vector<ui::ExportOrder>& orders)
{
    BITSMITH_ASSERT(m_thread == nullptr);
    m_control = RunControl();
    m_thread = QThread::create([this, run = fs::path(run.toStdString()), orders,
                                   control = m_control] { writeAll(run, orders, control); });
    m_thread->setObjectName(QStringLiteral("export"));
    connect(m_thread, &QThread::finished, this, &ExportThread::onThreadFinished);
    m_thread->start();
}

void ExportThread::cancel()
{
    m_control.cancel();
}

void ExportThread::onThreadFinished()
{
    m_thread->deleteLater();
    m_thread = nullptr;
    Q_EMIT allFinished();
}

void ExportThread::writeAll(
    const fs::path& run, const std::vector<ui::ExportOrder>& orders, const RunControl& control)
{
    for (std::size_t i = 0; i < orders.size(); ++i) {
        const ui::ExportOutcome outcome = write(run, orders[i], static_cast<int>(i), control);
        QMetaObject::invokeMethod(
            this, [this, outcome] { Q_EMIT finished(outcome); }, Qt::QueuedConnection);
    }
}

ui::ExportOutcome ExportThread::write(
    const fs::path& run, const ui::ExportOrder& order, int index, const RunControl& control)
{
    ui::ExportOutcome outcome;
    outcome.order = order;
    reportProgress({index});
    ExportObserver observer(reporter(index, ui::ExportStep::Writing));
    try {
        RunControl(control).checkpoint();
        const ExportReport report =
            m_calls.write(run, order.format, order.output, observer, control, order.details);
        outcome.path = ui::toQString(report.path);
        outcome.bytes = report.bytes;
        outcome.notes = observer.notes;
        reportProgress({index, ui::ExportStep::ReadingBack});
        check(run, outcome);
        if (order.comparesAnswers) {
            compare(run, outcome, index, control);
        }
    } catch (const Cancelled&) {
        outcome.state = JobState::Cancelled;
    } catch (const Error& error) {
        outcome.state = JobState::Failed;
        outcome.errorCode = error.code();
        outcome.message = ui::toQString(error.what());
    } catch (const std::exception& error) {
        outcome.state = JobState::Failed;
        outcome.message = ui::toQString(error.what());
    }
    return outcome;
}

void ExportThread::check(const fs::path& run, ui::ExportOutcome& outcome) const
{
    // The files are published: whatever goes wrong from here on is a finding about them.
    try {
        for (const std::string& finding : m_calls.verify(outcome.order.output, run)) {
            outcome.findings << ui::toQString(finding);
        }
        outcome.files = m_calls.files(outcome.order.output);
        outcome.uploadCommand = ui::toQString(upload_command(outcome.order.output));
        outcome.serveTexts = m_calls.serveTexts(outcome.order.format, outcome.order.output);
    } catch (const std::exception& error) {
        outcome.findings << ui::toQString(error.what());
    }
}

void ExportThread::compare(
    const fs::path& run, ui::ExportOutcome& outcome, int index, const RunControl& control)
{
    reportProgress({index, ui::ExportStep::ComparingAnswers});
    ExportObserver observer(reporter(index, ui::ExportStep::ComparingAnswers));
    try {
        outcome.answers = m_calls.compare(run, outcome.order.output, observer, control);
    } catch (const Cancelled&) {
        outcome.notes << tr("The answers were not compared: cancelled.");
    } catch (const std::exception& error) {
        outcome.notes
            << tr("The answers could not be compared: %1").arg(ui::toQString(error.what()));
    }
}

std::function<void(const StageProgress&)> ExportThread::reporter(int index, ui::ExportStep step)
{
    return [this, index, step](const StageProgress& progress) {
        reportProgress({index, step, progress.done, progress.total, ui::toQString(progress.unit)});
    };
}

void ExportThread::reportProgress(const ui::ExportProgress& progress)
{
    QMetaObject::invokeMethod(
        this, [this, progress] { Q_EMIT progressed(progress); }, Qt::QueuedConnection);
}

} // namespace bitsmith::gui
