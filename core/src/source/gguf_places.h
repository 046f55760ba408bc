// SPDX-License-Identifier: GPL-3.0-or-later
// From the names of a model to those of GGUF (formats.md 6.5); the way back is
// source/gguf_tensors.h.
#pragma once

#include "model/decoder_spec.h"
#include "source/gguf_names.h"

#include <optional>
#include <string>
#include <string_view>

namespace bitsmith::source {

/// Where GGUF has a module.
struct GgufPlace
{
    std::string name; ///< "blk.0.attn_q", without ".weight" or ".bias"
    GgufRole role = GgufRole::Plain;
    int64_t expert = -1; ///< matrix of a stacked tensor; -1: all of the tensor
    int64_t block = -1; ///< -1: outside the blocks
};

/// Null for a model_type that GGUF has no architecture for.
const GgufFamily* find_gguf_family(std::string_view model_type);

/// The table of a family in the words of one model, whose names may stand under a prefix
/// ("language_model.model.layers.{i}.").
class GgufPlaces
{
public:
    /// `family` outlives this.
    GgufPlaces(const model::DecoderSpec& spec, const GgufFamily& family);

    /// Of a module ("model.layers.0.self_attn.q_proj"); nothing when the family has no place for
    /// it.
    std::optional<GgufPlace> place(std::string_view module) const;

private:
    std::string in_this_model(std::string_view name) const;
    std::optional<GgufPlace> place_in_block(std::string_view module) const;

    const GgufFamily& family_;
    std::string embedding_;
    std::string block_; ///< up to the number
    std::string stem_; ///< what stands for "model." in the table
};

} // namespace bitsmith::source
