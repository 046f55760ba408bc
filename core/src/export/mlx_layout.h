// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors an mlx folder holds, in which order and of which type: a pure function of model and
// plan, so that headers can be written before the data and checked after it.
//
// Per layer P with a weight [out, in] (formats.md 8), T the type of the weight in the source:
//   affine        P.weight U32 [out, in * bits / 32], P.scales and P.biases T [out, in / group],
//                 W = scale * code + bias
//   mxfp4, mxfp8  P.weight as above, P.scales U8 [out, in / 32], W = 2^(scale - 127) * number
// A matrix of all experts of a block is one module; its tensors have the experts as first
// dimension.
// Codes are a little-endian bit stream along the row (tensor/bit_pack.h). P.bias is the ordinary bias.
#pragma once

#include "export/mlx_config.h"
#include "export/planned_weights.h"

#include <map>
#include <string>
#include <vector>

namespace bitsmith::exporting {

enum class MlxPart
{
    Copy, ///< a tensor of the source
    Codes,
    Scales,
    Biases, ///< offsets of groups
};

/// source: the layer, unless Copy; of experts the module.
using MlxTensor = FolderTensor<MlxPart>;

/// Empty: the columns are whole groups. Otherwise the reason in one sentence.
std::string mlx_group_refusal(int64_t columns, int64_t group);

/// Throws MissingTensor for a planned layer that the model does not have, ShapeMismatch for one
/// whose columns are no whole groups, and what check_mlx_model throws.
std::vector<MlxTensor> mlx_layout(const ExportInput& input);

/// Scales of integer groups in `type` [rows, groups], and the offsets that go with them: the minima
/// of IntFloatZero, otherwise -scale * zero, computed in fp32 from the scale that is stored; then
/// rounded. Throws NumericFailure naming the layer when one leaves the range of `type`.
struct AffineGroups
{
    at::Tensor scales, biases;
};
AffineGroups affine_groups(
    const quant::QuantizedWeight& weight, c10::ScalarType type, const std::string& layer);

/// Largest relative error of rounding to `type`.
double rounding_of(c10::ScalarType type);

/// Produces the tensors of a layout in its order.
class MlxPacker
{
public:
    explicit MlxPacker(const ExportInput& input);
    /// Throws what PlannedWeights::load and affine_groups throw.
    at::Tensor produce(const MlxTensor& tensor);
    /// The layers of a module: its experts in their order, otherwise itself.
    std::vector<std::string> layers_of(const std::string& module) const;
    const quant::QuantizedWeight& weight(const std::string& layer) { return weights_.load(layer); }

private:
    at::Tensor produce_stack(const MlxTensor& tensor, const ExpertStack& stack);

    const ExportInput& input_;
    PlannedWeights weights_;
    std::map<std::string, ExpertStack, std::less<>> stacks_; ///< by module
};

} // namespace bitsmith::exporting
