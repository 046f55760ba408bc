// SPDX-License-Identifier: GPL-3.0-or-later
// Exports of a finished run as the window sees them: what to write, how far it is, how it ended.
// The work itself is done behind ExportWorker, which app/gui implements.
#pragma once

#include <bitsmith/answers.h>
#include <bitsmith/event.h>
#include <bitsmith/export_offer.h>

#include <QObject>

#include <filesystem>

namespace bitsmith::ui {

/// The finished run that is exported.
struct ExportSource
{
    QString run; ///< folder
    QString model; ///< path or Hub id
    QString scheme;
};

/// One format to write.
struct ExportOrder
{
    std::string format;
    std::filesystem::path output; ///< folder that does not exist yet, or is empty
    bool comparesAnswers = false; ///< original and export answer the same prompts afterwards
    ExportDetails details = {};

    bool operator==(const ExportOrder&) const = default;
};

/// Writes into a folder of its own below `folder`, named after model, scheme and format.
ExportOrder exportOrder(
    const ExportSource& source, const std::string& format, const QString& folder);

enum class ExportStep
{
    Writing,
    ReadingBack,
    ComparingAnswers
};

struct ExportProgress
{
    int index = 0; ///< into the orders
    ExportStep step = ExportStep::Writing;
    int64_t done = 0;
    int64_t total = 0; ///< 0: not known
    QString unit = {}; ///< "tensors", "tokens", or "bytes"
};

/// How the export in one format ended.
struct ExportOutcome
{
    ExportOrder order;
    JobState state = JobState::Done; ///< Done, Failed or Cancelled
    QString path; ///< folder or file that was written
    int64_t bytes = 0;
    std::vector<ExportFile> files;
    QStringList findings; ///< of reading it back; empty: verified
    QStringList notes; ///< what the format holds differently from the plan, and what was left out
    std::vector<ServeText> serveTexts;
    QString uploadCommand;
    std::vector<AnswerPair> answers; ///< empty: not compared
    ErrorCode errorCode = ErrorCode::Internal; ///< valid when state is Failed
    QString message; ///< whole text when failed
};

/// Answers come as signals on the window's thread, never from inside a call.
class ExportWorker : public QObject
{
    Q_OBJECT

public:
    using QObject::QObject;
    ~ExportWorker() override;

    /// Answers with factsFound and offersFound, or with offersFailed.
    virtual void findOffers(const QString& run) = 0;
    /// Answers with freeSpaceFound; `folder` need not exist yet.
    virtual void findFreeSpace(const QString& folder) = 0;
    /// Answers with cardFound or cardFailed.
    virtual void findCard(
        const QString& run, const std::string& format, const ExportDetails& details) = 0;
    /// Writes one after the other. Each order gets one finished(), also after a failure or cancel();
    /// then comes allFinished(). Only while no export runs.
    virtual void startExports(const QString& run, const std::vector<ExportOrder>& orders) = 0;
    /// What is half-written goes; a comparison that is stopped leaves its export as it is.
    virtual void cancel() = 0;

Q_SIGNALS:
    void factsFound(const bitsmith::ExportFacts& facts);
    void offersFound(const std::vector<bitsmith::ExportOffer>& offers);
    void offersFailed(const QString& message);
    void freeSpaceFound(const QString& folder, qint64 bytes);
    void cardFound(const std::string& format, const QString& markdown);
    void cardFailed(const std::string& format, const QString& message);
    void progressed(const bitsmith::ui::ExportProgress& progress);
    void finished(const bitsmith::ui::ExportOutcome& outcome);
    void allFinished();
};

} // namespace bitsmith::ui
