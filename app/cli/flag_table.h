// SPDX-License-Identifier: GPL-3.0-or-later
// Names of flags where they are not simply the field's key: clashes between sections, and the
// reference's own names.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace bitsmith::cli {

struct FlagName
{
    std::string_view field; ///< path in JobSpec
    std::string_view names; ///< keys of the flag, separated by commas; empty: no flag
    std::string_view off_names = {}; ///< further keys that switch a boolean field off
};

inline constexpr std::array kFlagNames = {
    FlagName{"model.path", "model"},
    FlagName{"scheme.sym", "sym", "asym"},
    FlagName{"scheme.overrides", ""}, // --override, added by hand
    FlagName{"scheme.keep", "keep,ignore_layers,fp_layers"},
    FlagName{"recipe.name", "recipe"},
    FlagName{"recipe.enable_minmax_tuning", "enable_minmax_tuning", "disable_minmax_tuning"},
    FlagName{"recipe.enable_quanted_input", "enable_quanted_input", "disable_quanted_input"},
    FlagName{"recipe.batch_size", "batch_size,train_bs"},
    FlagName{"calibration.packing", "packing,calibration"},
    FlagName{"calibration.prefix", "calibration_prefix"},
    FlagName{"exports.formats", "format,formats"},
    FlagName{"exports.output", "output,output_dir"},
    FlagName{"evaluation.metrics", "eval,metrics"},
    FlagName{"evaluation.text", "eval_text"},
    FlagName{"evaluation.tokens", "eval_tokens"},
    FlagName{"evaluation.seqlen", "eval_seqlen"},
};

constexpr const FlagName* flag_name(std::string_view field)
{
    for (const FlagName& entry : kFlagNames) {
        if (entry.field == field) {
            return &entry;
        }
    }
    return nullptr;
}

} // namespace bitsmith::cli
