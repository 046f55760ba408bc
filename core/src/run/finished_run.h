// SPDX-License-Identifier: GPL-3.0-or-later
// A finished run and its model: what exports of it are made from.
#pragma once

#include "export/exporter.h"
#include "run/run_folder.h"

namespace bitsmith {

struct FinishedRun
{
    std::unique_ptr<RunFolder> folder;
    JobSpec spec; ///< of the run, with the details that exports are given
    std::shared_ptr<const source::ModelSource> model; ///< with the norms that were touched up
    std::optional<EvalReport> measured;

    /// Refers to this run, which must outlive it.
    exporting::ExportInput input() const
    {
        return {*model, folder->plan(), *folder, spec, measured ? &*measured : nullptr};
    }
};

/// `details`: for its exports, in place of those of its job. Throws InvalidSpec when blocks or the
/// touch-up are missing, FileNotFound when `run` is no run, and what opening its model throws.
FinishedRun open_finished_run(
    const std::filesystem::path& run, const std::optional<ExportDetails>& details = {});

} // namespace bitsmith
