// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/compressed_tensors_source.h"

#include "source/compressed_layer.h"

#include <bitsmith/error.h>

#include <ATen/core/Tensor.h>

#include <array>
#include <map>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;

constexpr std::string_view kWeight = ".weight", kPacked = ".weight_packed";
/// What stands beside the codes of a layer. The last ones belong to its activations.
constexpr std::array<std::string_view, 9> kSideEndings = {".weight_scale", ".weight_shape",
    ".weight_zero_point", ".weight_global_scale", ".input_scale", ".input_zero_point",
    ".input_global_scale", ".output_scale", ".output_zero_point"};

class CompressedSource : public tensor::TensorSource
{
public:
    CompressedSource(const Json& config, std::shared_ptr<const tensor::TensorSource> stored)
        : stored_(std::move(stored))
    {
        const CompressedConfig facts = read_compressed_config(config);
        for (const TensorEntry& entry : stored_->entries()) {
            if (const std::string layer = coded_layer(entry.name); !layer.empty()) {
                add_layer(layer, facts);
            } else if (!is_side_tensor(entry.name)) {
                put(entry);
            }
        }
    }

    const std::vector<TensorEntry>& entries() const override { return entries_; }
    const TensorEntry* find(std::string_view name) const override
    {
        const auto found = index_.find(name);
        return found == index_.end() ? nullptr : &entries_[found->second];
    }
    at::Tensor load(std::string_view name) const override
    {
        const auto layer = layers_.find(name);
        return layer == layers_.end() ? stored_->load(name)
                                      : decode_compressed_layer(*stored_, layer->second);
    }
    void check_unchanged() const override { stored_->check_unchanged(); }

private:
    /// The layer whose codes `tensor` holds; empty for other tensors.
    std::string coded_layer(const std::string& tensor) const
    {
        if (tensor.ends_with(kPacked)) {
            return tensor.substr(0, tensor.size() - kPacked.size());
        }
        const bool is_coded =
            tensor.ends_with(kWeight) && stored_->find(tensor + "_scale") != nullptr;
        return is_coded ? tensor.substr(0, tensor.size() - kWeight.size()) : std::string();
    }
    bool is_side_tensor(const std::string& tensor) const
    {
        for (const std::string_view ending : kSideEndings) {
            if (tensor.ends_with(ending)) {
                const std::string layer = tensor.substr(0, tensor.size() - ending.size());
                return stored_->find(layer + ".weight_packed") != nullptr
                    || (stored_->find(layer + ".weight_scale") != nullptr
                        && stored_->find(layer + ".weight") != nullptr);
            }
        }
        return false;
    }
    void add_layer(const std::string& name, const CompressedConfig& config)
    {
        if (stored_->find(name + ".weight_packed") != nullptr
            && stored_->find(name + ".weight") != nullptr) {
            fail(ErrorCode::FileCorrupt, "a layer is stored packed and plain",
                {{"tensor", name + ".weight"}});
        }
        if (stored_->find(name + ".weight_g_idx") != nullptr) {
            fail(ErrorCode::UnsupportedFormat,
                "layers with a column order (weight_g_idx) are not supported",
                {{"tensor", name + ".weight_g_idx"}});
        }
        const CompressedLayer layer = find_compressed_layer(*stored_, config, name);
        const std::string weight = name + ".weight";
        put({weight, {layer.rows, layer.columns}, layer.word(), stored_bytes(name)});
        layers_.emplace(weight, layer);
    }
    int64_t stored_bytes(const std::string& layer) const
    {
        int64_t bytes = 0;
        for (const char* ending : {".weight", ".weight_packed", ".weight_scale",
                 ".weight_zero_point", ".weight_global_scale", ".weight_shape"}) {
            const TensorEntry* entry = stored_->find(layer + ending);
            bytes += entry == nullptr ? 0 : entry->bytes;
        }
        return bytes;
    }
    void put(TensorEntry entry)
    {
        index_.emplace(entry.name, entries_.size());
        entries_.push_back(std::move(entry));
    }

    std::shared_ptr<const tensor::TensorSource> stored_;
    std::vector<TensorEntry> entries_;
    std::map<std::string, std::size_t, std::less<>> index_;
    std::map<std::string, CompressedLayer, std::less<>> layers_; ///< by the name of the weight
};

} // namespace

std::shared_ptr<const tensor::TensorSource> open_compressed_tensors(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    return std::make_shared<CompressedSource>(quantization_config, std::move(stored));
}

} // namespace bitsmith::source
