// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/block_file.h"

#include "base/text.h"
#include "run/checksum.h"
#include "tensor/safetensors_writer.h"
#include "values/fields_json.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bitsmith {

namespace tune {

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, KeptLayer>
void visit_fields(Visitor& v, Self& k)
{
    v("name", k.name, any_value(), "layer");
    v("reason", k.reason, any_value(), "why it stays as it is");
}

} // namespace tune

namespace {

constexpr const char* kBlockKey = "block";
constexpr const char* kSumKey = "crc32";

template <class Part>
std::string part_name(std::string_view layer, const Part& part)
{
    return concat(layer, '.', part.name);
}

/// Names of all tensors that a layer may have, in order.
std::vector<std::string> part_names(std::string_view layer)
{
    std::vector<std::string> names;
    for (const quant::WeightPart& part : quant::kWeightParts) {
        names.push_back(part_name(layer, part));
    }
    for (const tune::FactorPart& part : tune::kFactorParts) {
        names.push_back(part_name(layer, part));
    }
    return names;
}

struct LayerRecord
{
    std::string name;
    Scheme scheme;
    LayerFinished errors;
};
template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, LayerRecord>
void visit_fields(Visitor& v, Self& r)
{
    v("name", r.name, any_value(), "layer");
    v("scheme", r.scheme, any_value(), "number format");
    v("errors", r.errors, any_value(), "errors");
}

struct BlockRecord
{
    BlockFinished summary;
    std::vector<LayerRecord> layers;
    std::vector<tune::KeptLayer> kept;
    std::optional<double> key_max, value_max;
};
template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, BlockRecord>
void visit_fields(Visitor& v, Self& r)
{
    v("summary", r.summary, any_value(), "losses");
    v("layers", r.layers, any_value(), "layers");
    v("kept", r.kept, any_value(), "layers that stay as they are because their numbers fail");
    v("key_max", r.key_max, any_value(), "largest magnitude of keys in the cache");
    v("value_max", r.value_max, any_value(), "largest magnitude of values in the cache");
}

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

NamedTensors tensors_of(const tune::BlockResult& result)
{
    NamedTensors tensors;
    const auto add = [&tensors](const std::string& name, const at::Tensor& tensor) {
        if (tensor.defined()) {
            tensors.emplace_back(name, tensor.cpu().contiguous());
        }
    };
    for (const tune::FinishedLayer& layer : result.layers) {
        for (const quant::WeightPart& part : quant::kWeightParts) {
            add(part_name(layer.name, part), layer.weight.*part.tensor);
        }
        for (const tune::FactorPart& part : tune::kFactorParts) {
            add(part_name(layer.name, part), layer.factors.*part.tensor);
        }
    }
    for (const auto& [name, weight] : result.norms) {
        add(name, weight);
    }
    return tensors;
}

std::string sum_of(const std::string& text, const NamedTensors& tensors)
{
    uint32_t crc = crc32(text);
    for (const auto& [name, tensor] : tensors) {
        crc = crc32(std::span(static_cast<const std::byte*>(tensor.const_data_ptr()),
                        static_cast<std::size_t>(tensor.nbytes())),
            crc);
    }
    return crc_text(crc);
}

} // namespace

void publish_block_file(
    FileSystem& fs, const std::filesystem::path& file, const tune::BlockResult& result)
{
    BlockRecord record;
    record.summary = result.summary;
    record.kept = result.kept;
    for (const tune::FinishedLayer& layer : result.layers) {
        record.layers.push_back({layer.name, layer.weight.scheme, layer.errors});
    }
    if (result.cache.defined()) {
        record.key_max = result.cache.keys.item<double>();
        record.value_max = result.cache.values.item<double>();
    }
    const std::string text = fields_to_json(record).dump();
    const NamedTensors tensors = tensors_of(result);
    tensor::publish_safetensors(
        fs, file, tensors, {{kBlockKey, text}, {kSumKey, sum_of(text, tensors)}});
}

BlockFile::BlockFile(const std::filesystem::path& file)
    : file_(file.string())
    , reader_(std::make_shared<tensor::SafetensorsReader>(map_file(file)))
{
    const auto text = reader_->metadata().find(kBlockKey);
    if (text == reader_->metadata().end()) {
        fail(ErrorCode::FileCorrupt, "not a block of a run",
            {{"file", file_}, {"metadata missing", kBlockKey}});
    }
    BlockRecord record;
    fail_on(read_fields(parse_json(text->second, file_), record, Strictness::Lenient),
        ErrorCode::FileCorrupt, file_);
    summary_ = record.summary;
    kept_ = std::move(record.kept);
    key_max_ = record.key_max;
    value_max_ = record.value_max;
    for (LayerRecord& layer : record.layers) {
        errors_.push_back(std::move(layer.errors));
        errors_.back().layer = layer.name;
        schemes_.push_back(std::move(layer.scheme));
    }
    check_sum(text->second);
}

void BlockFile::check_sum(const std::string& text) const
{
    uint32_t crc = crc32(text);
    const auto add = [&](const std::string& name) {
        if (reader_->find(name) != nullptr) {
            const at::Tensor stored = reader_->load(name);
            crc = crc32(
                {static_cast<const std::byte*>(stored.const_data_ptr()), stored.nbytes()}, crc);
        }
    };
    for (const LayerFinished& layer : errors_) {
        std::ranges::for_each(part_names(layer.layer), add);
    }
    std::ranges::for_each(norm_names(), add);
    const auto stored = reader_->metadata().find(kSumKey);
    if (stored == reader_->metadata().end() || stored->second != crc_text(crc)) {
        fail(ErrorCode::FileCorrupt, "the checksum of a finished block does not match",
            {{"file", file_}, {"computed", crc_text(crc)}},
            "The block is computed again on resume");
    }
}

quant::CacheMaxima BlockFile::cache() const
{
    if (!key_max_ || !value_max_) {
        return {};
    }
    return {at::full({1}, *key_max_, at::kFloat), at::full({1}, *value_max_, at::kFloat)};
}

std::vector<std::string> BlockFile::norm_names() const
{
    std::vector<std::string> names;
    for (const tensor::TensorEntry& entry : reader_->entries()) {
        if (entry.name.ends_with(".weight")) {
            names.push_back(entry.name);
        }
    }
    std::sort(names.begin(), names.end());
    return names;
}

quant::NamedNorms BlockFile::norms() const
{
    quant::NamedNorms norms;
    for (const std::string& name : norm_names()) {
        norms.emplace(name, reader_->load(name).clone());
    }
    return norms;
}

tune::WeightFactors BlockFile::factors(std::string_view layer) const
{
    tune::WeightFactors factors;
    for (const tune::FactorPart& part : tune::kFactorParts) {
        const std::string name = part_name(layer, part);
        if (reader_->find(name) != nullptr) {
            factors.*part.tensor = reader_->load(name).clone();
        }
    }
    return factors;
}

bool BlockFile::contains(std::string_view layer) const
{
    return std::any_of(errors_.begin(), errors_.end(),
        [layer](const LayerFinished& entry) { return entry.layer == layer; });
}

quant::QuantizedWeight BlockFile::load(std::string_view layer) const
{
    for (std::size_t i = 0; i < errors_.size(); ++i) {
        if (errors_[i].layer == layer) {
            quant::QuantizedWeight weight;
            weight.scheme = schemes_[i];
            for (const quant::WeightPart& part : quant::kWeightParts) {
                const std::string name = part_name(layer, part);
                if (reader_->find(name) != nullptr) {
                    weight.*part.tensor = reader_->load(name).clone();
                }
            }
            return weight;
        }
    }
    fail(ErrorCode::MissingTensor, "the block does not hold this layer",
        {{"file", file_}, {"layer", std::string(layer)}});
}

} // namespace bitsmith
