// SPDX-License-Identifier: GPL-3.0-or-later
// Integer layers in 32-bit words as GPTQ and AWQ store them, in a Hugging Face folder. The formats
// auto_round, auto_gptq and auto_awq share this. Source: formats.md 2.3 - 2.5, 3.1, 4.
//
// Per layer P [out, in] with G groups in a row:
//          GPTQ                              AWQ, 4 bits
//   qweight I32 [in / 32 * bits, out]        I32 [in, out / 8]
//   qzeros  I32 [G, out / 32 * bits]         I32 [G, out / 8]
//   scales  F16 [G, out]                     F16 [G, out]
//   g_idx   I32 [in], group of a column
//   bias    F16 [out], where the layer has one
#pragma once

#include "export/planned_weights.h"
#include "tensor/bit_pack.h"

#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::exporting {

enum class PackedIntPart
{
    Copy, ///< a tensor of the source
    Codes, ///< the first tensor of a layer
    Zeros,
    Scales,
    GroupIndex,
    Bias, ///< of a quantized layer
};

using PackedIntTensor = FolderTensor<PackedIntPart>; ///< source: the tensor for Copy and Bias

enum class PackedIntOrder
{
    Gptq,
    Awq,
};

struct PackedIntStyle
{
    std::string_view format; ///< id, for messages
    PackedIntOrder order = PackedIntOrder::Gptq;
    tensor::ZeroOffset offset = tensor::ZeroOffset::Plain; ///< AWQ has Plain only
    bool has_group_index = false;
};

/// Empty: layers of this scheme can be packed; otherwise the reason in one sentence.
std::string packed_int_refusal(const Scheme& scheme, const PackedIntStyle& style);
/// The same for the shape of a layer whose scheme can be packed.
std::string packed_shape_refusal(const PlannedLayer& layer, const PackedIntStyle& style);

/// Whether a quantized layer has zero points of its own.
bool has_asymmetric_layers(const Plan& plan);

/// Throws MissingTensor for a planned layer that the model does not have, ShapeMismatch with the
/// reason of packed_shape_refusal.
std::vector<PackedIntTensor> packed_int_layout(
    const ExportInput& input, const PackedIntStyle& style);

/// Produces the tensors of a layout in its order.
class PackedIntPacker
{
public:
    PackedIntPacker(const ExportInput& input, const PackedIntStyle& style)
        : input_(input)
        , style_(style)
        , weights_(input)
    { }
    /// Throws what PlannedWeights::load throws, and NumericFailure for a scale or bias that fp16 cannot
    /// hold, a scale of 0 included.
    at::Tensor produce(const PackedIntTensor& tensor);
    /// The tuned codes of a layer, until the next call; throws what PlannedWeights::load throws.
    const quant::QuantizedWeight& weight(const std::string& layer) { return weights_.load(layer); }

private:
    const ExportInput& input_;
    const PackedIntStyle style_;
    PlannedWeights weights_;
};

} // namespace bitsmith::exporting
