// SPDX-License-Identifier: GPL-3.0-or-later
// The explicit list of decoder families: config.json -> DecoderSpec.
#pragma once

#include "base/json_io.h"
#include "model/decoder_spec.h"

#include <span>
#include <string_view>

namespace bitsmith::arch {

struct Family
{
    std::string_view id; ///< "qwen3"
    std::string_view title; ///< "Qwen 3"
    std::vector<std::string_view> model_types;
    /// Pure: no file access. Throws UnsupportedModel naming the field, InvalidSpec for bad numbers.
    model::DecoderSpec (*spec_from_config)(const Json& config);
};

std::span<const Family> families();

/// Family of a config.json; throws UnsupportedModel with the nearest supported names.
const Family& family_for(const Json& config);

/// The decoder's part of a config.json (text_config and the like, models.md 1.1).
const Json& decoder_config(const Json& config);

} // namespace bitsmith::arch
