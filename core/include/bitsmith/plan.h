// SPDX-License-Identifier: GPL-3.0-or-later
// Which layer gets which scheme.
#pragma once

#include <bitsmith/scheme.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bitsmith {

struct Recipe;

/// User rule: layers whose name matches `pattern` get `scheme`. Later rules win.
struct Override
{
    std::string
        pattern; ///< exact layer name, glob (`*`, `?`), or a plain text that the name contains
    std::string scheme; ///< scheme name, or "keep"

    bool operator==(const Override&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, Override>
void visit_fields(Visitor& v, Self& o)
{
    v("pattern", o.pattern, any_value(), "layer name, glob, or part of the name");
    v("scheme", o.scheme, any_value(), "scheme name, or keep");
}

/// One layer of a plan.
struct PlannedLayer
{
    std::string name; ///< checkpoint name without ".weight"
    int64_t block_index = -1; ///< -1: outside the blocks (lm_head)
    int64_t rows = 0; ///< output features
    int64_t columns = 0; ///< input features
    Scheme scheme; ///< keep_scheme() when the layer stays as it is
    /// Why this scheme: "default", "override '*v_proj'", "shape: columns not a multiple of 32", ...
    std::string reason;
    /// False: a scheme was asked for, but the layer cannot hold it and stays as it is.
    bool as_asked = true;

    bool operator==(const PlannedLayer&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, PlannedLayer>
void visit_fields(Visitor& v, Self& l)
{
    v("name", l.name, any_value(), "layer");
    v("block_index", l.block_index, any_value(), "block, -1 outside the blocks");
    v("rows", l.rows, any_value(), "output features");
    v("columns", l.columns, any_value(), "input features");
    v("scheme", l.scheme, any_value(), "number format");
    v("reason", l.reason, any_value(), "why this scheme");
    v("as_asked", l.as_asked, any_value(), "whether the layer gets what was asked for");
}

/// Complete assignment for one model, in checkpoint order of the layers.
struct Plan
{
    std::vector<PlannedLayer> layers;

    const PlannedLayer* find(std::string_view name) const;
    bool operator==(const Plan&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, Plan>
void visit_fields(Visitor& v, Self& p)
{
    v("layers", p.layers, any_value(), "layers in checkpoint order");
}

/// Whether layers outside the blocks (lm_head) are quantized; runs finish them after the last block.
bool quantizes_head(const Plan& plan);

/// Tokens that settle a mean square per input channel.
inline constexpr int64_t kStatisticsTokens = 8192;

/// Compensated rounding keeps the original path's inputs of a block's layers, for less time, where all
/// of them are at most this; more are computed again for each part of the block.
inline constexpr int64_t kMostKeptBytes = int64_t{512} << 20;

/// How many of `count` calibration windows, `tokens` long, a run computes with before the touch-up:
/// the first ones that settle its statistics where they are all it wants, otherwise all. Steps,
/// compensation, gradients, the largest inputs or cache entries, and the output head want all.
int64_t windows_computed(const Recipe& recipe, const Plan& plan, int64_t count, int64_t tokens);

/// Mean bits per weight over the layers of the plan that are inside blocks, scales and zero points
/// included.
double average_bits(const Plan& plan);

} // namespace bitsmith
