// SPDX-License-Identifier: GPL-3.0-or-later
// config.json as mlx-lm reads it, and which models its classes run. Source: formats.md 8, mlx-lm:
// mlx_lm/utils.py and mlx_lm/models.
#pragma once

#include "base/json_io.h"
#include "export/expert_stack.h"

#include <string>
#include <string_view>

namespace bitsmith::exporting {

/// Empty: mlx-lm has a class for this model_type that takes the tensors of the source under their
/// own names. Otherwise the reason in one sentence.
std::string mlx_type_refusal(std::string_view model_type);

/// Whether the class for a known model_type has the windows of the model's blocks.
bool mlx_has_windows(std::string_view model_type);

/// The experts of a model by the path of the module that holds a matrix of all experts of a block:
/// "model.layers.0.mlp.switch_mlp.gate_proj". Empty without experts.
struct MlxStack
{
    std::string module;
    ExpertStack experts;
};
std::vector<MlxStack> mlx_stacks(const model::DecoderSpec& spec);

/// Throws UnsupportedModel when the class of mlx-lm computes something else than the model and no
/// key can say so: nested decoders, rotary scaling, pattern of windows, biases, size of heads, a
/// head of its own or the lack of one, blocks without experts.
void check_mlx_model(const ExportInput& input);

/// "affine", "mxfp4" or "mxfp8"; only for schemes without refusal.
std::string_view mlx_mode(const Scheme& scheme);

/// The object `quantization`: the scheme of most layers, then every module by path, false for those
/// that are not quantized. Throws UnsupportedScheme for experts of several schemes.
Json mlx_quantization(const ExportInput& input);

/// All of config.json: with `quantization` and its copy `quantization_config`, the rotary embedding
/// in the old keys, and what the classes have other defaults for. Throws as check_mlx_model does.
Json mlx_config(const ExportInput& input);

} // namespace bitsmith::exporting
