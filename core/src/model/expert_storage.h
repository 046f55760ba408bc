// SPDX-License-Identifier: GPL-3.0-or-later
// Experts as checkpoints store them (models.md 1.13) -> one Linear per matrix and expert.
//
//   PerExpert           "experts.{e}.gate_proj.weight" and so on (X1, X2)
//   Stacked             gate_up [experts, 2 inner, hidden], down [experts, hidden, inner] (X3)
//   StackedTransposed   gate_up [experts, hidden, 2 inner], down [experts, inner, hidden] (X4)
//   StackedInterleaved  X4 with gate in the even and up in the odd columns (X5)
//   Mxfp4Interleaved    4-bit blocks and scales in [out, in] order, rows interleaved as X5 (X6)
#pragma once

#include "model/decoder_block.h"
#include "model/mlp.h"
#include "model/weight_loader.h"

namespace bitsmith::model {

/// Tensors of a stacked storage with their shapes. Not for PerExpert.
std::vector<ExpectedTensor> stacked_tensors(
    const MoeSpec& moe, const MoeLayout& layout, int64_t hidden);

/// Names of all tensors that hold the experts of a block.
std::vector<std::string> expert_tensor_names(
    const MoeSpec& moe, const MoeLayout& layout, int64_t hidden);

enum class ExpertMatrix
{
    Gate,
    Up,
    Down
};
inline constexpr ExpertMatrix kExpertMatrices[] = {
    ExpertMatrix::Gate, ExpertMatrix::Up, ExpertMatrix::Down};

/// The layer of one expert; `expert` has gate and up on their own, as those of a MoeLayout have.
const LinearSlot& expert_slot(const MlpLayout& expert, ExpertMatrix matrix);

/// One matrix of all experts, whatever the storage: [experts, out, in].
at::Tensor load_expert_weights(const WeightLoader& loader, const MoeSpec& moe,
    const MoeLayout& layout, ExpertMatrix matrix, int64_t hidden);
/// Its biases [experts, out]; for experts that have them.
at::Tensor load_expert_biases(const WeightLoader& loader, const MoeSpec& moe,
    const MoeLayout& layout, ExpertMatrix matrix, int64_t hidden);

/// Every expert of a block, whatever the storage.
std::vector<Mlp> load_experts(const WeightLoader& loader, const MoeSpec& moe, Activation act,
    const MoeLayout& layout, int64_t hidden);

/// Sets the storage of all expert blocks to what the checkpoint holds: families publish the same
/// weights in more than one storage. Throws ShapeMismatch for a stacked tensor of neither
/// orientation. Leaves the storage alone when no expert tensor is there.
void resolve_expert_storage(DecoderSpec& spec, const tensor::TensorSource& tensors);

/// MXFP4 blocks uint8 [..., n, 16] (two codes per byte, low nibble first) and scales uint8
/// [..., n] (exponent + 127) -> [..., 32 n] in `options`. Source: OCP MX specification 1.0.
at::Tensor decode_mxfp4(
    const at::Tensor& blocks, const at::Tensor& scales, const at::TensorOptions& options);

} // namespace bitsmith::model
