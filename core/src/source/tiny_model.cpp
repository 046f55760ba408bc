// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/tiny_model.h"

#include "base/random.h"
#include "base/text.h"
#include "source/tiny_tokenizer.h"
#include "tensor/safetensors_writer.h"

#include <bitsmith/error.h>
#include <bitsmith/job.h>

#include <ATen/ATen.h>

#include <cmath>

namespace bitsmith::source {

namespace {

/// How a tensor of the model is filled.
struct Filling
{
    std::string name;
    std::vector<int64_t> shape;
    double mean = 0;
    double deviation = 1;
};

void check(const TinyModelShape& shape)
{
    const bool positive = shape.blocks > 0 && shape.hidden > 0 && shape.inner > 0 && shape.heads > 0
        && shape.kv_heads > 0 && shape.head_dim > 0 && shape.max_length > 0;
    if (!positive || shape.heads % shape.kv_heads != 0 || shape.head_dim % 2 != 0) {
        fail(ErrorCode::InvalidSpec, "impossible sizes of a tiny model",
            {{"heads", std::to_string(shape.heads)}, {"kv_heads", std::to_string(shape.kv_heads)},
                {"head_dim", std::to_string(shape.head_dim)}});
    }
}

Filling linear(std::string name, int64_t rows, int64_t columns, double gain = 1)
{
    return {std::move(name), {rows, columns}, 0, gain / std::sqrt(static_cast<double>(columns))};
}

std::vector<Filling> fillings(const TinyModelShape& s)
{
    // A sharper head than fan-in alone gives: next tokens are then as certain as a real model's.
    constexpr double head_gain = 3;
    std::vector<Filling> list = {
        {"model.embed_tokens.weight", {kTinyVocabulary, s.hidden}, 0, s.is_tied ? 0.3 : 1}};
    for (int64_t i = 0; i < s.blocks; ++i) {
        const std::string block = concat("model.layers.", i, ".");
        list.push_back({block + "input_layernorm.weight", {s.hidden}, 1, 0.1});
        list.push_back(linear(block + "self_attn.q_proj.weight", s.heads * s.head_dim, s.hidden));
        list.push_back(
            linear(block + "self_attn.k_proj.weight", s.kv_heads * s.head_dim, s.hidden));
        list.push_back(
            linear(block + "self_attn.v_proj.weight", s.kv_heads * s.head_dim, s.hidden));
        list.push_back(linear(block + "self_attn.o_proj.weight", s.hidden, s.heads * s.head_dim));
        list.push_back({block + "post_attention_layernorm.weight", {s.hidden}, 1, 0.1});
        list.push_back(linear(block + "mlp.gate_proj.weight", s.inner, s.hidden));
        list.push_back(linear(block + "mlp.up_proj.weight", s.inner, s.hidden));
        list.push_back(linear(block + "mlp.down_proj.weight", s.hidden, s.inner));
    }
    list.push_back({"model.norm.weight", {s.hidden}, 1, 0.1});
    if (!s.is_tied) {
        list.push_back(linear("lm_head.weight", kTinyVocabulary, s.hidden, head_gain));
    }
    return list;
}

/// Sum of four uniform numbers: close to normal, and the same on every platform, which the library
/// functions of Box and Muller's method are not.
at::Tensor draw(const Filling& filling, Random random)
{
    at::Tensor tensor = at::empty(filling.shape, at::kFloat);
    auto* values = tensor.mutable_data_ptr<float>();
    const double unit = std::sqrt(3.0); // of a sum with variance 4 / 12
    for (int64_t i = 0; i < tensor.numel(); ++i) {
        const double sum =
            random.uniform() + random.uniform() + random.uniform() + random.uniform() - 2;
        values[i] = static_cast<float>(filling.mean + filling.deviation * unit * sum);
    }
    return tensor.to(at::kBFloat16);
}

void write_weights(FileSystem& fs, const std::filesystem::path& folder, const TinyModelShape& shape)
{
    const std::vector<Filling> list = fillings(shape);
    std::vector<tensor::TensorEntry> entries;
    for (const Filling& filling : list) {
        entries.push_back(tensor::entry_for(filling.name, filling.shape, at::kBFloat16));
    }
    tensor::ShardedWriter writer(fs, folder, std::move(entries), shape.max_shard_bytes);
    for (const Filling& filling : list) {
        writer.write(filling.name, draw(filling, Random(shape.seed, filling.name, 0)));
    }
    writer.finish();
}

Json config_of(const TinyModelShape& shape)
{
    return {{"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"},
        {"attention_bias", false}, {"mlp_bias", false}, {"attention_dropout", 0.0},
        {"bos_token_id", kTinyBos}, {"eos_token_id", kTinyEos}, {"pad_token_id", kTinyPad},
        {"hidden_act", "silu"}, {"hidden_size", shape.hidden}, {"head_dim", shape.head_dim},
        {"initializer_range", 0.02}, {"intermediate_size", shape.inner},
        {"max_position_embeddings", shape.max_length}, {"num_attention_heads", shape.heads},
        {"num_hidden_layers", shape.blocks}, {"num_key_value_heads", shape.kv_heads},
        {"rms_norm_eps", 1e-5}, {"rope_scaling", nullptr}, {"rope_theta", 10000.0},
        {"tie_word_embeddings", shape.is_tied}, {"torch_dtype", "bfloat16"}, {"use_cache", true},
        {"vocab_size", kTinyVocabulary}};
}

} // namespace

void write_tiny_model(
    FileSystem& fs, const std::filesystem::path& folder, const TinyModelShape& shape)
{
    check(shape);
    fs.create_folders(folder);
    write_weights(fs, folder, shape);
    const auto publish = [&](const char* name, const Json& json) {
        publish_file(fs, folder / name, json.dump(2) + "\n");
    };
    publish("tokenizer.json", tiny_tokenizer(kTinyVocabulary));
    publish("tokenizer_config.json", tiny_tokenizer_config(shape.max_length));
    publish("special_tokens_map.json", tiny_special_tokens());
    publish("generation_config.json",
        {{"bos_token_id", kTinyBos}, {"eos_token_id", {kTinyEos, kTinyTurnEnd}},
            {"pad_token_id", kTinyPad}, {"do_sample", false}});
    publish("config.json", config_of(shape));
}

} // namespace bitsmith::source

namespace bitsmith {

void write_tiny_model(const std::filesystem::path& folder)
{
    source::write_tiny_model(disk(), folder, {});
}

} // namespace bitsmith
