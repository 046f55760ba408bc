// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/source_metrics.h"

#include "base/text.h"
#include "run/stages.h"

#include <ATen/ATen.h>

namespace bitsmith {

int64_t first_measured_row(const calib::CalibrationSet& calibration)
{
    return calibration.holdout > 0 ? calibration.ids.size(0) - calibration.holdout : 0;
}

void emit_source_metrics(RunContext& context, const eval::Measured& candidate,
    const eval::Measured& reference, const at::Tensor& ids,
    const calib::CalibrationSet& calibration)
{
    if (calibration.sources.size() < 2) {
        return;
    }
    const at::Tensor source =
        calibration.source.narrow(0, first_measured_row(calibration), ids.size(0));
    for (std::size_t i = 0; i < calibration.sources.size(); ++i) {
        const at::Tensor rows = source.eq(static_cast<int64_t>(i)).nonzero().flatten();
        if (rows.numel() == 0) {
            continue;
        }
        const auto part = [&rows](const eval::Measured& all) {
            return all.model == nullptr
                ? all
                : eval::Measured{all.model, all.hidden.index_select(0, rows)};
        };
        EvalReport report =
            eval::compare(context, part(candidate), part(reference), ids.index_select(0, rows));
        report.text = concat("held-out calibration text of ", calibration.sources[i]);
        emit_metrics(context, report);
    }
}

} // namespace bitsmith
