// SPDX-License-Identifier: GPL-3.0-or-later
// What the held-out text of each source of a mixture says about a quantized model.
#pragma once

#include "base/context.h"
#include "calib/calibration_set.h"
#include "eval/divergence.h"

namespace bitsmith {

/// First row of the calibration that a model may be measured on: of the held-out ones, where there
/// are.
int64_t first_measured_row(const calib::CalibrationSet& calibration);

/// The metrics of emit_metrics once more for each source, on its own windows. `ids`, and the hidden
/// states of both models, are rows of the calibration from first_measured_row on. Nothing for a
/// single source, whose figures are those of the whole.
void emit_source_metrics(RunContext& context, const eval::Measured& candidate,
    const eval::Measured& reference, const at::Tensor& ids,
    const calib::CalibrationSet& calibration);

} // namespace bitsmith
