// SPDX-License-Identifier: GPL-3.0-or-later
// Rotary parameters of config.json, old layout (rope_scaling, rope_theta) and new one
// (rope_parameters), resolved as in models.md 1.9.
#pragma once

#include "arch/config_reader.h"
#include "model/decoder_spec.h"

namespace bitsmith::arch {

/// What a family assumes where the file says nothing.
struct RopeDefaults
{
    double theta = 10000;
    double partial = 1;
    bool su_and_yarn_are_longrope = false; ///< old Phi-3 files
    /// Record used when the file has no rotary record at all; null: plain rotary embedding.
    const Json* record = nullptr;
};

/// The record for layers of `layer_type` ("full_attention", "sliding_attention"). Throws
/// UnsupportedModel for an unknown rope_type, InvalidSpec for bad numbers.
model::RotarySpec resolve_rotary(const ConfigReader& config, std::string_view layer_type,
    int64_t head_dim, const RopeDefaults& defaults);

} // namespace bitsmith::arch
