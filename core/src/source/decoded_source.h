// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint with quantized layers, seen from outside: P.weight in fp32 in place of the tensors
// that a layer P is stored in. All other tensors pass through.
#pragma once

#include "source/coded_layers.h"
#include "source/runtime_rounding.h"
#include "source/stored_layer.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitsmith::source {

/// What a method of quantization has to say: the layer whose codes `entry` holds, checked; null for
/// other tensors.
using FindLayer = std::function<std::unique_ptr<const StoredLayer>(
    const tensor::TensorSource& stored, const tensor::TensorEntry& entry)>;

class DecodedSource : public tensor::TensorSource
{
public:
    /// Throws what `find` throws, and FileCorrupt for a layer that is stored packed and plain.
    DecodedSource(std::shared_ptr<const tensor::TensorSource> stored, const FindLayer& find,
        CacheRule cache = {});

    const std::vector<tensor::TensorEntry>& entries() const override { return entries_; }
    const tensor::TensorEntry* find(std::string_view name) const override;
    /// Unpacks one layer per load.
    at::Tensor load(std::string_view name) const override;
    void check_unchanged() const override { stored_->check_unchanged(); }

    /// The codes of the layers; null when there are none.
    const std::shared_ptr<const CodedLayers>& codes() const { return codes_; }
    /// Null: nothing but weights is rounded.
    const std::shared_ptr<const RuntimeRounding>& runtime() const { return runtime_; }

private:
    void put(tensor::TensorEntry entry);
    void put(const StoredLayer& layer);

    std::shared_ptr<const tensor::TensorSource> stored_;
    std::shared_ptr<const StoredLayers> layers_; ///< by name P
    std::shared_ptr<const CodedLayers> codes_;
    std::shared_ptr<const RuntimeRounding> runtime_;
    std::vector<tensor::TensorEntry> entries_;
    std::map<std::string, std::size_t, std::less<>> index_;
};

} // namespace bitsmith::source
