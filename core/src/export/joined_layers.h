// SPDX-License-Identifier: GPL-3.0-or-later
// vLLM and SGLang join layers that have the same input (q/k/v, gate/up) and look some of them up by the
// name of the joined layer ("...self_attn.qkv_proj"), others by those of its parts. A configuration that
// names layers therefore names both.
#pragma once

#include "base/json_io.h"

#include <bitsmith/model_info.h>

#include <string>
#include <vector>

namespace bitsmith::exporting {

/// `layers` and, behind them, the joined layers whose parts are all among them.
std::vector<std::string> with_joined_layers(
    const ModelInfo& model, std::vector<std::string> layers);

/// The same as targets of compressed-tensors, which warns of those that are no layer's first match: an
/// expression stands for a joined layer and its first part.
std::vector<std::string> with_joined_targets(
    const ModelInfo& model, std::vector<std::string> layers);

/// A regular expression of these words.
std::string escaped(const std::string& words);

/// `rules`, an object by names of layers, and, behind them, those of the joined layers whose parts all
/// have the same rule.
Json with_joined_rules(const ModelInfo& model, Json rules);

} // namespace bitsmith::exporting
