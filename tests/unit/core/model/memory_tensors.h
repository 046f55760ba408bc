// SPDX-License-Identifier: GPL-3.0-or-later
// A TensorSource of tensors in memory, and a small model of random weights for it.
#pragma once

#include "model/decoder_block.h"
#include "model/spec_check.h"
#include "tensor/safetensors_writer.h"
#include "tensor/tensor_source.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <map>

class MemoryTensors : public bitsmith::tensor::TensorSource
{
public:
    void add(const std::string& name, const at::Tensor& value)
    {
        values_[name] = value;
        entries_.push_back(
            bitsmith::tensor::entry_for(name, value.sizes().vec(), value.scalar_type()));
    }
    void remove(const std::string& name)
    {
        values_.erase(name);
        std::erase_if(entries_, [&](const auto& entry) { return entry.name == name; });
    }
    const std::vector<bitsmith::tensor::TensorEntry>& entries() const override { return entries_; }
    const bitsmith::tensor::TensorEntry* find(std::string_view name) const override
    {
        for (const auto& entry : entries_) {
            if (entry.name == name) {
                return &entry;
            }
        }
        return nullptr;
    }
    at::Tensor load(std::string_view name) const override
    {
        const auto at = values_.find(std::string(name));
        if (at == values_.end()) {
            bitsmith::fail(bitsmith::ErrorCode::MissingTensor, "absent");
        }
        return at->second;
    }

private:
    std::vector<bitsmith::tensor::TensorEntry> entries_;
    std::map<std::string, at::Tensor> values_;
};

/// Every tensor that `spec` expects, normally distributed, with matrices scaled by their width.
inline std::shared_ptr<MemoryTensors> random_weights(
    const bitsmith::model::DecoderSpec& spec, uint64_t seed = 1)
{
    at::manual_seed(seed);
    auto tensors = std::make_shared<MemoryTensors>();
    const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
        const double scale = shape.size() > 1 ? 1.2 / std::sqrt(double(shape.back())) : 0.2;
        const double centre = name.find("norm") == std::string::npos ? 0 : 1;
        tensors->add(name, at::randn(shape) * scale + centre);
    };
    add(spec.model_names.embedding + ".weight", {spec.vocab, spec.hidden});
    add(spec.model_names.final_norm + ".weight", {spec.hidden});
    if (!spec.is_tied) {
        add(spec.model_names.head + ".weight", {spec.vocab, spec.hidden});
    }
    for (int64_t i = 0; i < static_cast<int64_t>(spec.blocks.size()); ++i) {
        for (const auto& expected : bitsmith::model::expected_block_tensors(spec, i)) {
            add(expected.name, expected.shape);
        }
    }
    return tensors;
}
