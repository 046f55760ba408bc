// SPDX-License-Identifier: GPL-3.0-or-later
// What the Run page shows. Folds batches of events into a RunPicture and tells views, once per batch,
// which parts changed. Lives on the window's thread.
#pragma once

#include "widgets/state/run_picture.h"

#include <QObject>

namespace bitsmith::ui {

class RunState : public QObject
{
    Q_OBJECT

public:
    explicit RunState(QObject* parent = nullptr);

    const RunPicture& picture() const { return m_picture; }
    /// Folder of the run shown; empty while there is none.
    QString folder() const;

    /// Forgets everything.
    void clear();
    void fold(const std::vector<Event>& events);
    /// No event will follow; `state` says how the run stands when the events did not say it.
    void endOfFeed(JobState state);

Q_SIGNALS:
    void cleared();
    void headerChanged();
    void stagesChanged();
    void planChanged();
    void layersChanged(int first, int last);
    void blocksChanged(int first, int last);
    void stepsChanged(int firstBlock, int lastBlock);
    void metricsChanged();
    void memoryChanged();
    void logChanged();

private:
    RunPicture m_picture;
};

} // namespace bitsmith::ui
