// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/state/run_state.h"

#include "widgets/text/format_text.h"

namespace bitsmith::ui {

RunState::RunState(QObject* parent)
    : QObject(parent)
{ }

QString RunState::folder() const
{
    return toQString(m_picture.job.run);
}

void RunState::clear()
{
    m_picture = {};
    Q_EMIT cleared();
}

void RunState::fold(const std::vector<Event>& events)
{
    RunChanges changes;
    for (const Event& event : events) {
        m_picture.fold(event, changes);
    }
    if (changes.header) {
        Q_EMIT headerChanged();
    }
    if (changes.stages) {
        Q_EMIT stagesChanged();
    }
    if (changes.plan) {
        Q_EMIT planChanged();
    } else if (!changes.layers.isEmpty()) {
        Q_EMIT layersChanged(changes.layers.first, changes.layers.last);
    }
    if (!changes.blocks.isEmpty()) {
        Q_EMIT blocksChanged(changes.blocks.first, changes.blocks.last);
    }
    if (!changes.steps.isEmpty()) {
        Q_EMIT stepsChanged(changes.steps.first, changes.steps.last);
    }
    if (changes.metrics) {
        Q_EMIT metricsChanged();
    }
    if (changes.memory) {
        Q_EMIT memoryChanged();
    }
    if (changes.log) {
        Q_EMIT logChanged();
    }
}

void RunState::endOfFeed(JobState state)
{
    m_picture.endOfFeed(state);
    Q_EMIT headerChanged();
}

} // namespace bitsmith::ui
