// SPDX-License-Identifier: GPL-3.0-or-later
// What a runtime of a quantized checkpoint rounds besides the weights: the inputs of layers, and
// the keys and values that it keeps.
#pragma once

#include "source/stored_layer.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::source {

/// Gives `layer` the inputs that the fields act_* of `inputs` describe, the only ones that count.
/// Where no codec rounds so, StoredLayer::other_inputs gets the reason.
void set_inputs(StoredLayer& layer, const Scheme& inputs);

/// fp32 [1]: the largest input, which the stored scale of the layer stands for. Undefined for
/// schemes without one, and for NvFp where the file has none: the input itself then decides. Throws
/// MissingTensor, and FileCorrupt for a scale that is no positive number.
at::Tensor largest_input(const StoredLayer& layer, const tensor::TensorSource& stored);

/// How a checkpoint wants its key/value cache.
struct CacheRule
{
    CacheType type = CacheType::None;
    std::string other; ///< why we do not round so; empty: `type` says everything
};

struct InputRounding
{
    Scheme scheme; ///< of which the fields act_* count
    at::Tensor largest; ///< see largest_input
};

/// Immutable.
class RuntimeRounding
{
public:
    RuntimeRounding(std::shared_ptr<const tensor::TensorSource> stored,
        std::shared_ptr<const StoredLayers> layers, CacheRule cache);

    /// Inputs of the layer P; 16 bits where they stay, and for layers that are not stored as codes.
    /// Throws what largest_input throws.
    InputRounding inputs(std::string_view layer) const;
    /// Of the block whose attention is the module `attention`; undefined: the cache stays. Throws
    /// MissingTensor, FileCorrupt.
    quant::CacheMaxima cache(const std::string& attention) const;

    /// Layers whose inputs a runtime rounds, whether we can or not.
    const std::vector<std::string>& layers() const { return rounded_; }
    const CacheRule& cache_rule() const { return cache_; }
    bool is_empty() const;
    /// What we leave as it is although a runtime rounds it, one sentence each.
    std::vector<std::string> warnings() const;

private:
    std::shared_ptr<const tensor::TensorSource> stored_;
    std::shared_ptr<const StoredLayers> layers_; ///< by name P
    CacheRule cache_;
    std::vector<std::string> rounded_;
};

} // namespace bitsmith::source
