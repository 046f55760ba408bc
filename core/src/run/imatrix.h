// SPDX-License-Identifier: GPL-3.0-or-later
// Importance matrices in a job.
#pragma once

#include "base/context.h"
#include "source/model_source.h"

#include <bitsmith/job_spec.h>
#include <bitsmith/plan.h>

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace bitsmith {

/// What spec.calibration.imatrix says about the layers of `model`: fp32 [columns] by layer, as
/// tune::BlockInputs has it. Empty without a file, and for recipes that search no ranges. One
/// Warning when it does not know all layers that `plan` quantizes. Throws what read_imatrix and
/// layer_importance of calib/imatrix.h throw.
std::map<std::string, at::Tensor> read_importance(
    RunContext& context, const JobSpec& spec, const source::ModelSource& model, const Plan& plan);

} // namespace bitsmith
