// SPDX-License-Identifier: GPL-3.0-or-later
// Token windows that a model is tuned on.
#pragma once

#include "base/context.h"
#include "source/model_source.h"

#include <bitsmith/job_spec.h>

#include <ATen/core/Tensor.h>

namespace bitsmith::calib {

/// Deterministic for (texts, spec, seed). All windows have the same length.
struct CalibrationSet
{
    at::Tensor ids; ///< int64 [samples, seqlen]
    at::Tensor
        mask; ///< bool [samples, seqlen]: positions that count in the loss (algorithm.md 1.11)
    at::Tensor holdout; ///< int64 [held-out samples, seqlen]; may have no rows
    std::string origin; ///< for people: "self, 64 answers" or file names
    int64_t asked = 0;
    std::vector<std::string> warnings;
};

/// Text sources -> tokens -> windows -> held-out split. `self` lets the model answer bundled
/// prompts. Throws InvalidSpec with counts at every filter stage when nothing usable is left;
/// FileCorrupt naming line or byte offset.
CalibrationSet build_calibration_set(
    RunContext& context, const JobSpec& spec, const source::ModelSource& model);

} // namespace bitsmith::calib
