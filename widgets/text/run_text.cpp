// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/text/run_text.h"

#include "widgets/text/format_text.h"

#include <QCoreApplication>
#include <QStringList>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

struct Text
{
    Q_DECLARE_TR_FUNCTIONS(run)
};

QString blockActivity(const RunPicture& picture)
{
    const BlockPicture& block = picture.blocks[static_cast<std::size_t>(picture.activeBlock)];
    const auto number = picture.activeBlock + 1;
    const auto count = picture.blocks.size();
    if (block.iters <= 0) {
        return Text::tr("Block %1 of %2").arg(number).arg(count);
    }
    const double step = block.series.steps.empty() ? 0 : block.series.steps.back() + 1;
    return Text::tr("Block %1 of %2, step %3 of %4")
        .arg(number)
        .arg(count)
        .arg(static_cast<qlonglong>(step))
        .arg(block.iters);
}

QString stageActivity(const RunPicture& picture)
{
    for (int i = 0; i < RunPicture::kStages; ++i) {
        const StagePicture& stage = picture.stages[i];
        if (stage.state != PartState::Active) {
            continue;
        }
        const QString title = stageTitle(static_cast<Stage>(i));
        if (stage.total > 0) {
            return Text::tr("%1: %2 of %3 %4")
                .arg(title)
                .arg(stage.done)
                .arg(stage.total)
                .arg(stage.unit);
        }
        return stage.detail.isEmpty() ? title : Text::tr("%1: %2").arg(title, stage.detail);
    }
    return {};
}

} // namespace

StateLook lookOf(RunPhase phase)
{
    switch (phase) {
    case RunPhase::Empty:
        return {Text::tr("Preparing"), Icon::Clock, ColorRole::Muted};
    case RunPhase::Running:
        return {Text::tr("Running"), Icon::Play, ColorRole::Accent};
    case RunPhase::Paused:
        return {Text::tr("Paused"), Icon::Pause, ColorRole::Caution};
    case RunPhase::Done:
        return {Text::tr("Done"), Icon::Check, ColorRole::Good};
    case RunPhase::Failed:
        return {Text::tr("Failed"), Icon::Error, ColorRole::Bad};
    case RunPhase::Cancelled:
        return {Text::tr("Cancelled"), Icon::Stop, ColorRole::Muted};
    case RunPhase::Interrupted:
        break;
    }
    return {Text::tr("Interrupted"), Icon::Warning, ColorRole::Bad};
}

StateLook lookOf(JobState state)
{
    switch (state) {
    case JobState::Running:
        return lookOf(RunPhase::Running);
    case JobState::Done:
        return lookOf(RunPhase::Done);
    case JobState::Failed:
        return lookOf(RunPhase::Failed);
    case JobState::Cancelled:
        return lookOf(RunPhase::Cancelled);
    case JobState::Interrupted:
        break;
    }
    return lookOf(RunPhase::Interrupted);
}

QString stageTitle(Stage stage)
{
    switch (stage) {
    case Stage::Load:
        return Text::tr("Load");
    case Stage::Calibrate:
        return Text::tr("Calibrate");
    case Stage::Plan:
        return Text::tr("Plan");
    case Stage::Tune:
        return Text::tr("Tune");
    case Stage::TouchUp:
        return Text::tr("Touch up");
    case Stage::Export:
        return Text::tr("Export");
    case Stage::Evaluate:
        break;
    }
    return Text::tr("Evaluate");
}

QString activityText(const RunPicture& picture)
{
    if (picture.finish) {
        if (picture.finish->state == JobState::Failed) {
            return toQString(picture.finish->message);
        }
        return Text::tr("%1 of %2 blocks").arg(picture.blocksDone()).arg(picture.blocks.size());
    }
    if (picture.phase == RunPhase::Interrupted) {
        return Text::tr("Stopped after %1 of %2 blocks; finished blocks are kept")
            .arg(picture.blocksDone())
            .arg(picture.blocks.size());
    }
    return picture.activeBlock >= 0 ? blockActivity(picture) : stageActivity(picture);
}

QString jobLine(const QString& scheme, const QString& recipe, const QString& device)
{
    QStringList parts;
    for (const QString& part : {scheme, recipe, device}) {
        if (!part.isEmpty()) {
            parts << part;
        }
    }
    return parts.join(u" · "_s);
}

} // namespace bitsmith::ui
