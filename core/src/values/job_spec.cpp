// SPDX-License-Identifier: GPL-3.0-or-later
#include "values/fields_text.h"

#include <bitsmith/job_spec.h>
#include <bitsmith/spec_json.h>

namespace bitsmith {

void apply_reference_mode(JobSpec& spec)
{
    // algorithm.md 1.6 (ranges of the weights), 1.11 (plain mean square), 1.12 (best step by its own mini-batch), 11.3 (short texts dropped, no BOS added
    // beyond the tokenizer's own, every sample is tuned on).
    spec.recipe.smoothing = Smoothing::Off;
    spec.recipe.start = Start::MinMax;
    spec.recipe.objective = Objective::Mse;
    spec.recipe.selection = Selection::Minibatch;
    spec.recipe.touch_up = TouchUpMode::Off;
    spec.recipe.mimic_reference = true;
    spec.calibration.packing = Packing::Filtered;
    spec.calibration.prefix = CalibrationPrefix::None;
    spec.calibration.holdout = 0;
}

std::vector<std::pair<std::string, std::string>> list_fields_of(const JobSpec& spec)
{
    return list_fields(spec);
}

void set_field(JobSpec& spec, std::string_view path, std::string_view value)
{
    if (path == "recipe.name" && value != "custom") {
        spec.recipe = named_recipe(value);
        return;
    }
    set_field_text(spec, path, value);
}

} // namespace bitsmith
