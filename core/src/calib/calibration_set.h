// SPDX-License-Identifier: GPL-3.0-or-later
// Token windows that a model is tuned on.
#pragma once

#include "base/context.h"

#include <bitsmith/job_spec.h>

#include <ATen/core/Tensor.h>

#include <functional>

namespace bitsmith::source {
struct ModelSource;
}

namespace bitsmith::calib {

/// Deterministic for (texts, spec, seed). All windows have the same length.
struct CalibrationSet
{
    at::Tensor ids; ///< int64 [samples, seqlen]; the last `holdout` rows are not tuned on
    at::Tensor
        mask; ///< bool [samples, seqlen]: positions that count in the loss (algorithm.md 1.11)
    int64_t holdout = 0;
    at::Tensor source; ///< int64 [samples]: which of `sources` a row is from
    std::vector<std::string> sources; ///< as the dataset names them
    std::string origin; ///< for people: "self, 64 answers" or file names
    int64_t asked = 0;
    std::vector<std::string> warnings;
};

/// Lets the model continue token sequences: prompts -> answers of at most `max_tokens` tokens each.
using Sampler = std::function<std::vector<std::vector<int32_t>>(
    const std::vector<std::vector<int32_t>>& prompts, int64_t max_tokens)>;

/// Sources (dataset_entry.h) -> tokens -> windows -> held-out split, each source with its share of
/// both parts and evenly mixed (mixture.h). Dataset "self" lets the model answer bundled prompts
/// through `sampler`. Throws InvalidSpec with the counts of every filter stage when nothing usable
/// is left, and what the text readers throw.
CalibrationSet build_calibration_set(RunContext& context, const JobSpec& spec,
    const source::ModelSource& model, const Sampler& sampler);

} // namespace bitsmith::calib
