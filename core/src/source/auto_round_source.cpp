// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/auto_round_source.h"

#include "base/text.h"
#include "tensor/bit_pack.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;
using tensor::ZeroOffset;

struct PackedLayer
{
    std::string name; ///< P
    int64_t bits = 0, group = 0; ///< columns per group
    int64_t rows = 0, columns = 0; ///< of the weight
};

struct Packing
{
    int64_t bits = 0, group_size = 0;
    ZeroOffset offset = ZeroOffset::MinusOne;
    const Json* extra = nullptr; ///< extra_config, or null
};

[[noreturn]] void unsupported(const char* field, const std::string& found, const char* allowed)
{
    fail(ErrorCode::UnsupportedFormat, "this quantized checkpoint cannot be read",
        {{"field", concat("quantization_config.", field)}, {"found", found}, {"allowed", allowed}});
}

std::string text_of(const Json& config, const char* key, const char* otherwise)
{
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) {
        return otherwise;
    }
    return found->is_string() ? found->get<std::string>() : found->dump();
}

int64_t integer_of(const Json& config, const char* key, int64_t otherwise)
{
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) {
        return otherwise;
    }
    if (!found->is_number_integer()) {
        unsupported(key, found->dump(), "an integer");
    }
    return found->get<int64_t>();
}

Packing packing_from(const Json& config)
{
    if (!config.is_object()) {
        fail(ErrorCode::FileCorrupt, "quantization_config is not an object");
    }
    const std::string method = text_of(config, "quant_method", "");
    if (method != "auto-round" && method != "intel/auto-round") { // the second one by old versions
        unsupported("quant_method", method, "auto-round");
    }
    for (const char* key : {"rotation_config", "spinquant_config"}) {
        if (config.contains(key) && !config[key].is_null()) {
            unsupported(key, config[key].dump(), "absent: rotated weights are not supported");
        }
    }
    const std::string type = text_of(config, "data_type", "int");
    if (type != "int") {
        unsupported("data_type", type, "int");
    }
    if (const int64_t act = integer_of(config, "act_bits", 16); act < 16) {
        unsupported("act_bits", std::to_string(act), "16");
    }
    Packing packing;
    // Absent, and the spelling of old versions, mean auto_gptq (formats.md 2.11).
    const std::string format = text_of(config, "packing_format", "auto_round:auto_gptq");
    if (format == "auto_round") {
        packing.offset = ZeroOffset::Plain;
    } else if (format != "auto_round:auto_gptq" && format != "auto_round:gptq") {
        unsupported("packing_format", format, "auto_round, auto_round:auto_gptq");
    }
    packing.bits = integer_of(config, "bits", 4);
    packing.group_size = integer_of(config, "group_size", 128);
    const auto extra = config.find("extra_config");
    packing.extra = extra != config.end() && extra->is_object() ? &*extra : nullptr;
    return packing;
}

[[noreturn]] void misfit(const std::string& tensor, const std::string& what)
{
    fail(ErrorCode::FileCorrupt, concat("packed layer does not fit its configuration: ", what),
        {{"tensor", tensor}});
}

const TensorEntry& part(
    const tensor::TensorSource& stored, const std::string& name, std::string_view dtype)
{
    const TensorEntry* entry = stored.find(name);
    if (entry == nullptr) {
        fail(ErrorCode::MissingTensor, "a packed layer is incomplete", {{"tensor", name}});
    }
    if (entry->shape.size() != 2 || entry->dtype != dtype) {
        fail(ErrorCode::FileCorrupt, "a packed tensor has another type or rank",
            {{"tensor", name}, {"found", entry->dtype},
                {"allowed", concat(dtype, ", two dimensions")}});
    }
    return *entry;
}

/// Checks the three tensors of layer `name` against each other and the configuration.
PackedLayer layer_from(
    const tensor::TensorSource& stored, const Packing& packing, const std::string& name)
{
    const TensorEntry& codes = part(stored, name + ".qweight", "I32");
    const TensorEntry& zeros = part(stored, name + ".qzeros", "I32");
    const TensorEntry& scales = part(stored, name + ".scales", "F16");
    if (stored.find(name + ".g_idx") != nullptr) {
        fail(ErrorCode::UnsupportedFormat, "layers with a column order (g_idx) are not supported",
            {{"tensor", name + ".g_idx"}});
    }
    PackedLayer layer{name, packing.bits, packing.group_size, codes.shape[1], 0};
    if (packing.extra != nullptr && packing.extra->contains(name)) {
        const Json& rule = (*packing.extra)[name];
        layer.bits = integer_of(rule, "bits", layer.bits);
        layer.group = integer_of(rule, "group_size", layer.group);
    }
    if (!tensor::is_packable_width(layer.bits)) {
        misfit(codes.name, concat(layer.bits, " bits"));
    }
    const int64_t words = codes.shape[0];
    if (layer.rows <= 0 || words <= 0 || words * 32 % layer.bits != 0) {
        misfit(codes.name, concat(words, " rows for ", layer.bits, " bits"));
    }
    layer.columns = words * 32 / layer.bits;
    if (layer.group == -1 || layer.group > layer.columns) {
        layer.group = layer.columns;
    }
    if (layer.group <= 0) {
        misfit(codes.name, concat("group size ", layer.group));
    }
    const int64_t groups = (layer.columns + layer.group - 1) / layer.group;
    if (scales.shape != std::vector<int64_t>{groups, layer.rows}) {
        misfit(scales.name, concat("expected [", groups, ", ", layer.rows, "]"));
    }
    if (zeros.shape[0] != groups || zeros.shape[1] * 32 != layer.rows * layer.bits) {
        misfit(zeros.name,
            concat("expected [", groups, ", ", layer.rows, " / 32 * ", layer.bits, "]"));
    }
    return layer;
}

class AutoRoundSource : public tensor::TensorSource
{
public:
    AutoRoundSource(const Json& config, std::shared_ptr<const tensor::TensorSource> stored)
        : stored_(std::move(stored))
    {
        const Packing packing = packing_from(config);
        offset_ = packing.offset;
        for (const TensorEntry& entry : stored_->entries()) {
            add(entry, packing);
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
        const auto packed = packed_.find(name);
        return packed == packed_.end() ? stored_->load(name) : unpack(packed->second);
    }
    void check_unchanged() const override { stored_->check_unchanged(); }

private:
    void add(const TensorEntry& entry, const Packing& packing)
    {
        const std::string_view name = entry.name;
        if (name.ends_with(".qweight")) {
            const std::string layer_name(name.substr(0, name.size() - 8));
            if (stored_->find(layer_name + ".weight") != nullptr) {
                fail(ErrorCode::FileCorrupt, "a layer is stored packed and plain",
                    {{"tensor", layer_name + ".weight"}});
            }
            const PackedLayer layer = layer_from(*stored_, packing, layer_name);
            const int64_t bytes = entry.bytes + stored_->find(layer_name + ".qzeros")->bytes
                + stored_->find(layer_name + ".scales")->bytes;
            packed_.emplace(layer_name + ".weight", layer);
            put({layer_name + ".weight", {layer.rows, layer.columns}, concat("INT", layer.bits),
                bytes});
        } else if (!is_side_tensor(name)) {
            put(entry);
        }
    }
    /// Scales and zero points of a packed layer.
    bool is_side_tensor(std::string_view name) const
    {
        for (const std::string_view ending : {".qzeros", ".scales"}) {
            if (name.ends_with(ending)) {
                const std::string layer(name.substr(0, name.size() - ending.size()));
                return stored_->find(layer + ".qweight") != nullptr;
            }
        }
        return false;
    }
    void put(TensorEntry entry)
    {
        index_.emplace(entry.name, entries_.size());
        entries_.push_back(std::move(entry));
    }
    at::Tensor unpack(const PackedLayer& layer) const
    {
        const at::Tensor codes =
            tensor::unpack_gptq_codes(stored_->load(layer.name + ".qweight"), layer.bits);
        const at::Tensor zeros =
            tensor::unpack_gptq_zeros(stored_->load(layer.name + ".qzeros"), layer.bits, offset_);
        const at::Tensor scales =
            stored_->load(layer.name + ".scales").t().contiguous().to(at::kFloat);
        const auto spread = [&](const at::Tensor& values) {
            return values.repeat_interleave(layer.group, 1).narrow(1, 0, layer.columns);
        };
        at::Tensor weight = codes.to(at::kFloat);
        weight.sub_(spread(zeros.to(at::kFloat)));
        return weight.mul_(spread(scales));
    }

    std::shared_ptr<const tensor::TensorSource> stored_;
    ZeroOffset offset_ = ZeroOffset::MinusOne;
    std::vector<TensorEntry> entries_;
    std::map<std::string, std::size_t, std::less<>> index_;
    std::map<std::string, PackedLayer, std::less<>> packed_; ///< by the name of the weight
};

} // namespace

std::shared_ptr<const tensor::TensorSource> open_auto_round(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    return std::make_shared<AutoRoundSource>(quantization_config, std::move(stored));
}

} // namespace bitsmith::source
