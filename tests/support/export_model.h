// SPDX-License-Identifier: GPL-3.0-or-later
// A tiny model in memory with a plan and random quantized layers, for tests of exporters.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace bitsmith::test {

class MemoryTensors : public tensor::TensorSource
{
public:
    void add(const std::string& name, const at::Tensor& values);
    void remove(const std::string& name);

    const std::vector<tensor::TensorEntry>& entries() const override { return entries_; }
    const tensor::TensorEntry* find(std::string_view name) const override;
    at::Tensor load(std::string_view name) const override;

private:
    std::vector<tensor::TensorEntry> entries_;
    std::map<std::string, at::Tensor, std::less<>> tensors_;
};

class MemoryLayers : public quant::QuantizedStore
{
public:
    bool contains(std::string_view layer) const override { return layers.contains(layer); }
    quant::QuantizedWeight load(std::string_view layer) const override
    {
        return layers.find(layer)->second;
    }
    std::map<std::string, quant::QuantizedWeight, std::less<>> layers;
};

/// Random codes, scales (some negative) and zero points of a scheme.
quant::QuantizedWeight random_weight(const Scheme& scheme, int64_t rows, int64_t columns);

/// Values by the definition, fp32: scale * (code - zero), or scale * code + minimum.
at::Tensor expected_values(const quant::QuantizedWeight& weight);

/// What an exporter receives. `config` is a config.json of a family with plain names (llama, qwen2,
/// qwen3, gemma, gemma2, gemma3_text, mixtral, qwen3_moe, gpt_oss); two blocks, hidden 64, 288 rows
/// for 264 tokens of a byte-level tokenizer.
class ExportModel
{
public:
    explicit ExportModel(Json config, c10::ScalarType type = c10::ScalarType::BFloat16);

    /// Gives every layer of the blocks that is quantized by default this scheme with random codes.
    void plan_all(const Scheme& scheme);
    /// One layer.
    void plan_layer(const std::string& name, const Scheme& scheme);
    exporting::ExportInput input() const { return {model, plan, layers, spec}; }

    source::ModelSource model;
    std::shared_ptr<MemoryTensors> tensors;
    Plan plan;
    MemoryLayers layers;
    JobSpec spec;
};

Json llama_config();
Json gemma_config();
Json gemma3_config();
/// Four experts, two per token: "mixtral", "qwen3_moe" or "gpt_oss".
Json experts_config(const std::string& model_type);

/// tokenizer.json of 256 bytes, 4 merges and 4 special tokens, split like GPT-2's.
std::string byte_tokenizer_json();

} // namespace bitsmith::test
