// SPDX-License-Identifier: GPL-3.0-or-later
// A model's tensors by name, whatever files they come from.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::tensor {

struct TensorEntry
{
    std::string name;
    std::vector<int64_t> shape;
    std::string dtype; ///< safetensors word or GGUF type as stored
    int64_t bytes = 0; ///< as stored
};

/// Names are Hugging Face checkpoint names; entries are in checkpoint order. Thread-safe for
/// reading.
class TensorSource
{
public:
    virtual ~TensorSource() = default;
    virtual const std::vector<TensorEntry>& entries() const = 0;
    /// Null when absent.
    virtual const TensorEntry* find(std::string_view name) const = 0;
    /// A new CPU tensor of the entry's shape: plain types as stored, quantized types decoded to
    /// fp32. Throws MissingTensor, and FileCorrupt when the file was cut short since it was opened.
    virtual at::Tensor load(std::string_view name) const = 0;
    /// Element `index` of the first dimension, as load(name)[index]. Sources that can read no more
    /// than that do.
    virtual at::Tensor load_at(std::string_view name, int64_t index) const
    {
        return load(name).select(0, index).clone();
    }
    /// Throws FileCorrupt when a file changed since it was opened.
    virtual void check_unchanged() const { }
};

} // namespace bitsmith::tensor
