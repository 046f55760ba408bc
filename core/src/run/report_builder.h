// SPDX-License-Identifier: GPL-3.0-or-later
// Folds the events of a job into its report.
#pragma once

#include <bitsmith/observer.h>
#include <bitsmith/report.h>

#include <map>

namespace bitsmith {

/// Adds an export to a report; one that was written to the same place before gives way.
void add_export(Report& report, const ExportFinished& exported);

class ReportBuilder : public Observer
{
public:
    void on_event(const Event& event) override;
    const Report& report() const { return report_; }
    void set_eval(const EvalReport& eval) { report_.eval = eval; }

private:
    void add(const JobStarted& started);
    void add(const PlanReady& ready);
    void add(const BlockFinished& block);
    void add(const LayerFinished& layer);
    void add(const StageFinished& stage);
    void add(const ExportFinished& exported);
    void add(const MemorySample& sample);
    void add(const Warning& warning);
    void add(const JobFinished& finished);
    template <class Other>
    void add(const Other&)
    { }

    Report report_;
    std::map<std::string, std::size_t> layer_index_;
};

} // namespace bitsmith
