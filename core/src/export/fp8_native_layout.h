// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors a native FP8 folder holds, in which order and of which type.
//
// Per layer P with a weight [out, in] (formats.md 7):
//   P.weight           F8_E4M3 [out, in]
//   P.weight_scale_inv F32 [ceil(out / 128), ceil(in / 128)], tiles
//   P.weight_scale     F32 [1], one scale per tensor
//   P.input_scale      F32 [1], one scale per tensor with calibrated activations
// W[o, i] = weight[o, i] * scale; the names say "inverse" of the factor that quantizing multiplies
// by.
#pragma once

#include "export/planned_weights.h"

#include <string>
#include <vector>

namespace bitsmith::exporting {

inline constexpr int64_t kFp8Tile = 128;

enum class Fp8Part
{
    Copy, ///< a tensor of the source
    Codes,
    Scale,
    InputScale, ///< of static activations
};

using Fp8Tensor = FolderTensor<Fp8Part>; ///< source: the layer unless Copy

/// The scheme of all quantized layers. Throws UnsupportedScheme when there are several or none.
const Scheme& fp8_scheme(const Plan& plan);
/// Throws MissingTensor for a planned layer that the model does not have, and what fp8_scheme
/// throws.
std::vector<Fp8Tensor> fp8_layout(const ExportInput& input);
/// Produces the tensors of a layout in its order.
class Fp8Packer
{
public:
    explicit Fp8Packer(const ExportInput& input)
        : input_(input)
        , weights_(input)
    { }
    /// Throws what PlannedWeights::load throws, MissingTensor for a layer that lacks its largest
    /// activation.
    at::Tensor produce(const Fp8Tensor& tensor);
    /// The tuned codes of a layer, until the next call; throws what PlannedWeights::load throws.
    const quant::QuantizedWeight& weight(const std::string& layer) { return weights_.load(layer); }

private:
    const ExportInput& input_;
    PlannedWeights weights_;
};

} // namespace bitsmith::exporting
