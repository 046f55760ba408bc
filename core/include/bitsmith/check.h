// SPDX-License-Identifier: GPL-3.0-or-later
// Functions on a job before it starts; milliseconds. No tensor is made. check() asks the file system
// only for free space and whether folders are empty; the others touch no file.
#pragma once

#include <bitsmith/error.h>
#include <bitsmith/job_spec.h>
#include <bitsmith/model_info.h>

#include <vector>

namespace bitsmith {

/// Every rule of the catalogue (ui.md 5.9) that this job breaks, errors first. `model` may be null
/// while it is not known yet. Never throws for bad input.
std::vector<Issue> check(const JobSpec& spec, const ModelInfo* model);

/// Scheme of every layer: default scheme, rules of shape, overrides in order, keep list, head.
/// Throws InvalidSpec for a scheme text that cannot be parsed.
Plan build_plan(const JobSpec& spec, const ModelInfo& model);

/// The spec's base scheme with the single-field changes applied. Throws InvalidSpec.
Scheme resolve_scheme(const SchemeSection& section);

/// What a job will need, computed from headers alone.
struct Estimate
{
    int64_t peak_host_bytes = 0;
    int64_t peak_device_bytes = 0;
    int64_t run_folder_bytes = 0;
    int64_t export_bytes = 0;
    double average_bits = 0;
};
Estimate estimate(const JobSpec& spec, const ModelInfo& model, const Plan& plan);

} // namespace bitsmith
