// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/finished_run.h"

#include "base/text.h"
#include "run/touch_up_stage.h"
#include "run/touched_model.h"
#include "run/tune_stage.h"

#include <bitsmith/error.h>
#include <bitsmith/run_reader.h>

namespace bitsmith {

FinishedRun open_finished_run(
    const std::filesystem::path& run, const std::optional<ExportDetails>& details)
{
    FinishedRun finished;
    finished.folder = RunFolder::open(run);
    const RunFolder& folder = *finished.folder;
    finished.spec = folder.spec();
    if (details) {
        static_cast<ExportDetails&>(finished.spec.exports) = *details;
    }
    finished.model = touched_model(source::open_model(folder.spec().model.path), folder);
    const int64_t blocks = blocks_to_publish(folder.plan(), finished.model->info.blocks);
    const bool lacks_touch_up = folder.spec().recipe.uses_calibration()
        && wants_touch_up(folder.spec().recipe, folder.plan()) && !folder.is_touched_up();
    if (lacks_touch_up || folder.finished_blocks() < blocks) {
        fail(ErrorCode::InvalidSpec, "the run is not finished",
            {{"run", run.string()},
                {"found",
                    concat(folder.finished_blocks(), " of ", blocks, " blocks",
                        lacks_touch_up ? ", not touched up" : "")}},
            "Resume it first");
    }
    if (const std::optional<Report> report = read_run_report(run)) {
        finished.measured = report->eval;
    }
    return finished;
}

} // namespace bitsmith
