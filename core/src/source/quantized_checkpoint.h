// SPDX-License-Identifier: GPL-3.0-or-later
// Checkpoints that are already quantized: found, decoded where a reader exists, refused otherwise.
#pragma once

#include "base/json_io.h"
#include "source/coded_layers.h"
#include "source/runtime_rounding.h"
#include "tensor/tensor_source.h"

#include <filesystem>
#include <memory>
#include <string>

namespace bitsmith::source {

struct Unquantized
{
    std::shared_ptr<const tensor::TensorSource> tensors; ///< weights decoded as "P.weight"
    std::string method; ///< "auto-round"; empty when the checkpoint was not quantized
    std::shared_ptr<const CodedLayers> codes; ///< null: no layer is stored as codes
    std::shared_ptr<const RuntimeRounding> runtime; ///< null: nothing but weights is rounded
};

/// Looks for `quantization_config` (or `compression_config`, MLX's `quantization`) in `config` and
/// its nested decoder configs, removes it there and wraps `stored` with the method's decoder. A
/// config without one may have its description in quantize_config.json (GPTQ) or quant_config.json
/// (AWQ). Throws UnsupportedModel naming the method when there is none (ahead.md 5, row 7), and
/// what the method's decoder throws.
Unquantized open_unquantized(Json& config, const std::filesystem::path& folder,
    std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
