// SPDX-License-Identifier: GPL-3.0-or-later
// One decoder block: the unit of tuning, memory and progress.
#pragma once

#include "model/decoder_spec.h"
#include "model/linear.h"
#include "tensor/tensor_source.h"

#include <memory>
#include <vector>

namespace bitsmith::model {

/// Keys and values of one block for token-by-token generation; grows along tokens.
struct KvCache
{
    at::Tensor keys; ///< [batch, kv_heads, past, head_dim]
    at::Tensor values; ///< [batch, kv_heads, past, value_dim]
    int64_t past() const { return keys.defined() ? keys.size(2) : 0; }
    /// Appends keys and values of new tokens; room is made in steps, so that a token costs no copy
    /// of the past ones. Not differentiable.
    void append(const at::Tensor& new_keys, const at::Tensor& new_values);
    /// Keeps the batch rows `rows` (int64 [kept]), in that order.
    void keep_rows(const at::Tensor& rows);

private:
    at::Tensor key_room_, value_room_; ///< keys and values are the front of these
};

/// What keys and values go through on their way into the cache of a runtime that keeps them in
/// fewer bits. Attention sees what comes out, with or without a cache.
class CacheTransform
{
public:
    virtual ~CacheTransform() = default;
    /// keys [batch, kv_heads, tokens, head_dim] behind norm and rotary embedding, values [batch,
    /// kv_heads, tokens, value_dim]; each is replaced by a tensor of the same shape and element
    /// type.
    virtual void apply(at::Tensor& keys, at::Tensor& values) = 0;
};

/// What all blocks of a forward share: positions, rotary tables and masks for `tokens` tokens after
/// `past` ones. Tables are computed on first use per rotary/mask variant and kept.
class BlockShared
{
public:
    /// `padding` int64 [batch] or undefined: that many tokens at the front of each row are hidden
    /// from all others. Positions count them: rotary embeddings depend on distances alone.
    BlockShared(int64_t tokens, int64_t past, const at::TensorOptions& options,
        const at::Tensor& padding = {});
    ~BlockShared();
    BlockShared(BlockShared&&) noexcept;
    BlockShared& operator=(BlockShared&&) noexcept;

    struct Impl;
    Impl& impl() const { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

/// The residual stream that the output of a layer is added to as it is.
enum class AddedTo
{
    Nothing,
    Input, ///< of the block
    AfterAttention,
};

/// A linear layer of a block with the way it is treated by default.
struct BlockLinear
{
    Linear* linear = nullptr;
    bool quantizable = true; ///< false: router and the like
    std::string
        unit; ///< layers of one unit must share a scheme ("...self_attn.qkv"); models.md 4.2
    AddedTo added_to = AddedTo::Nothing;
};

class Norm;

struct BlockNorm
{
    Norm* norm = nullptr;
    std::string name; ///< checkpoint name without ".weight"
};

/// An input whose channels can be scaled without a change of what the block computes: dividing what
/// comes before by s, and multiplying the columns of all layers that read it by s.
struct FoldableInput
{
    std::vector<Linear*> readers; ///< all layers that read it; not empty
    BlockNorm norm; ///< whose output it is; without one it is a product with the rows of `layer`
    Linear* layer = nullptr; ///< without bias
    int64_t first_row = 0; ///< of as many rows as the input has channels
};

class DecoderBlock
{
public:
    DecoderBlock() = default;
    DecoderBlock(const DecoderBlock&) = delete;
    DecoderBlock& operator=(const DecoderBlock&) = delete;
    virtual ~DecoderBlock() = default;
    /// hidden [batch, tokens, hidden] -> same shape. No state between calls except in `cache` and
    /// in cache_transform.
    virtual at::Tensor forward(
        const at::Tensor& hidden, const BlockShared& shared, KvCache* cache = nullptr) const = 0;
    /// Every linear layer in execution order; pointers are valid while the block lives.
    virtual std::vector<BlockLinear> linears() = 0;
    /// Every norm, in the order of their names in the layout; pointers are valid while the block lives.
    virtual std::vector<BlockNorm> norms() = 0;
    /// Inputs in execution order; pointers are valid while the block lives. Each layer is among the
    /// readers of one input at most, and comes before one at most.
    virtual std::vector<FoldableInput> foldable_inputs() { return {}; }
    int64_t index = 0;
    std::shared_ptr<CacheTransform> cache_transform; ///< or null
};

/// A tensor that a spec expects in the checkpoint.
struct ExpectedTensor
{
    std::string name; ///< after the source's rename rules
    std::vector<int64_t> shape;
    bool optional = false;
};

/// Names and shapes of block `index` as the checkpoint stores them, in execution order.
std::vector<ExpectedTensor> expected_block_tensors(const DecoderSpec& spec, int64_t index);

/// Linear layers of block `index` without loading anything: name, rows, columns, quantizable, unit.
struct LinearShape
{
    std::string name;
    int64_t rows = 0;
    int64_t columns = 0;
    bool quantizable = true;
    std::string unit;
};
std::vector<LinearShape> block_linear_shapes(const DecoderSpec& spec, int64_t index);

/// Reads block `index` onto the device in the element type of `options`. Throws MissingTensor,
/// ShapeMismatch.
std::unique_ptr<DecoderBlock> load_block(const DecoderSpec& spec, int64_t index,
    const tensor::TensorSource& tensors, const at::TensorOptions& options);

} // namespace bitsmith::model
