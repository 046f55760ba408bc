// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/decoded_source.h"

#include <bitsmith/error.h>

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <mutex>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;
using TensorsPtr = std::shared_ptr<const tensor::TensorSource>;

constexpr std::string_view kWeight = ".weight";

class StoredCodes : public CodedLayers
{
public:
    StoredCodes(TensorsPtr stored, std::shared_ptr<const StoredLayers> layers)
        : stored_(std::move(stored))
        , layers_(std::move(layers))
    { }

    const std::map<std::string, Scheme, std::less<>>& schemes() const override
    {
        std::call_once(once_, [this] {
            std::map<std::string, Scheme, std::less<>> found;
            for (const auto& [name, layer] : *layers_) {
                if (const auto scheme = exact_scheme(*layer, *stored_)) {
                    found.emplace(name, *scheme);
                }
            }
            schemes_ = std::move(found);
        });
        return schemes_;
    }
    bool contains(std::string_view layer) const override { return schemes().contains(layer); }
    quant::QuantizedWeight load(std::string_view layer) const override
    {
        const auto scheme = schemes().find(layer);
        if (scheme == schemes().end()) {
            fail(ErrorCode::MissingTensor, "the checkpoint has no codes for this layer",
                {{"layer", std::string(layer)}});
        }
        return quantized_weight(*layers_->find(layer)->second, scheme->second, *stored_);
    }

private:
    TensorsPtr stored_;
    std::shared_ptr<const StoredLayers> layers_;
    mutable std::once_flag once_;
    mutable std::map<std::string, Scheme, std::less<>> schemes_;
};

/// Scales of attention and of its cache say how a runtime rounds, not what the model computes.
bool is_cache_scale(const std::string& tensor)
{
    return tensor.ends_with(".q_scale") || tensor.ends_with(".k_scale")
        || tensor.ends_with(".v_scale");
}

/// P.weight may stand for itself, but not beside other codes of its layer.
void check_stored_once(const StoredLayer& layer, const tensor::TensorSource& stored)
{
    const std::string weight = layer.name + std::string(kWeight);
    if (stored.find(weight) != nullptr
        && std::find(layer.parts.begin(), layer.parts.end(), weight) == layer.parts.end()) {
        fail(ErrorCode::FileCorrupt, "a layer is stored packed and plain", {{"tensor", weight}});
    }
}

} // namespace

DecodedSource::DecodedSource(TensorsPtr stored, const FindLayer& find, CacheRule cache)
    : stored_(std::move(stored))
{
    StoredLayers layers;
    std::map<std::string_view, const StoredLayer*> taken; // null: beside the codes
    for (const TensorEntry& entry : stored_->entries()) {
        std::unique_ptr<const StoredLayer> layer = find(*stored_, entry);
        if (layer == nullptr) {
            continue;
        }
        check_stored_once(*layer, *stored_);
        for (const std::string& part : layer->parts) {
            taken.emplace(stored_->find(part)->name, nullptr);
        }
        taken[entry.name] = layer.get();
        const std::string name = layer->name;
        const bool is_new = layers.emplace(name, std::move(layer)).second;
        BITSMITH_ASSERT(is_new);
    }
    for (const TensorEntry& entry : stored_->entries()) {
        const auto found = taken.find(entry.name);
        if (found == taken.end()) {
            if (!is_cache_scale(entry.name)) {
                put(entry);
            }
        } else if (found->second != nullptr) {
            put(*found->second);
        }
    }
    layers_ = std::make_shared<const StoredLayers>(std::move(layers));
    if (!layers_->empty()) {
        codes_ = std::make_shared<StoredCodes>(stored_, layers_);
    }
    auto runtime = std::make_shared<const RuntimeRounding>(stored_, layers_, std::move(cache));
    if (!runtime->is_empty()) {
        runtime_ = std::move(runtime);
    }
}

const TensorEntry* DecodedSource::find(std::string_view name) const
{
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second];
}

at::Tensor DecodedSource::load(std::string_view name) const
{
    if (name.ends_with(kWeight)) {
        const auto layer = layers_->find(name.substr(0, name.size() - kWeight.size()));
        if (layer != layers_->end()) {
            return decode_layer(*layer->second, *stored_);
        }
    }
    return stored_->load(name);
}

void DecodedSource::put(const StoredLayer& layer)
{
    int64_t bytes = 0;
    for (const std::string& part : layer.parts) {
        bytes += stored_->find(part)->bytes;
    }
    put({layer.name + std::string(kWeight), {layer.rows, layer.columns}, layer_word(layer.scheme),
        bytes});
}

void DecodedSource::put(TensorEntry entry)
{
    index_.emplace(entry.name, entries_.size());
    entries_.push_back(std::move(entry));
}

} // namespace bitsmith::source
