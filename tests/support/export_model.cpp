// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/export_model.h"

#include "arch/registry.h"
#include "model/decoder_block.h"
#include "tensor/safetensors_writer.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::test {

namespace {

constexpr int64_t kHidden = 64, kInner = 96, kHeads = 4, kKvHeads = 2, kTokens = 288, kBlocks = 2;
constexpr int64_t kHeadDim = kHidden / kHeads;

std::string utf8(uint32_t code)
{
    if (code < 0x80) {
        return {static_cast<char>(code)};
    }
    return {static_cast<char>(0xC0U | (code >> 6U)), static_cast<char>(0x80U | (code & 0x3FU))};
}

/// GPT-2's spelling of bytes: printable ones as they are, the others from U+0100 on.
std::vector<std::string> byte_alphabet()
{
    std::vector<std::string> alphabet;
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
        const bool plain =
            (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        alphabet.push_back(utf8(plain ? byte : next++));
    }
    return alphabet;
}

/// What the family's description asks for.
void add_expected(ExportModel& model, int64_t block, c10::ScalarType type)
{
    for (const model::ExpectedTensor& tensor :
        model::expected_block_tensors(model.model.spec, block)) {
        model.tensors->add(tensor.name, at::randn(tensor.shape).to(type));
    }
    for (const model::LinearShape& layer : model::block_linear_shapes(model.model.spec, block)) {
        model.model.info.layers.push_back({layer.name, block, layer.rows, layer.columns, "BF16",
            layer.rows * layer.columns * 2, layer.quantizable, layer.unit});
    }
}

void add_block(ExportModel& model, int64_t block, c10::ScalarType type)
{
    const std::string stem = "model.layers." + std::to_string(block) + ".";
    const std::string model_type = model.model.config["model_type"];
    const auto& blocks = model.model.spec.blocks;
    const bool has_experts = std::any_of(blocks.begin(), blocks.end(),
        [](const model::BlockSpec& spec) { return spec.moe.has_value(); });
    if (model_type == "gemma" || has_experts) {
        add_expected(model, block, type);
        return;
    }
    const auto matrix = [&](const std::string& name, int64_t rows, int64_t columns) {
        model.tensors->add(stem + name + ".weight", at::randn({rows, columns}).to(type));
        model.model.info.layers.push_back(
            {stem + name, block, rows, columns, "BF16", rows * columns * 2, true, {}});
    };
    const auto vector = [&](const std::string& name, int64_t size) {
        model.tensors->add(stem + name, at::randn({size}).to(type));
    };
    vector("input_layernorm.weight", kHidden);
    matrix("self_attn.q_proj", kHeads * kHeadDim, kHidden);
    matrix("self_attn.k_proj", kKvHeads * kHeadDim, kHidden);
    matrix("self_attn.v_proj", kKvHeads * kHeadDim, kHidden);
    matrix("self_attn.o_proj", kHidden, kHeads * kHeadDim);
    if (model_type == "qwen2" || model.model.config.value("attention_bias", false)) {
        vector("self_attn.q_proj.bias", kHeads * kHeadDim);
        vector("self_attn.k_proj.bias", kKvHeads * kHeadDim);
        vector("self_attn.v_proj.bias", kKvHeads * kHeadDim);
    }
    if (model_type == "qwen3" || model_type == "gemma3_text") {
        vector("self_attn.q_norm.weight", kHeadDim);
        vector("self_attn.k_norm.weight", kHeadDim);
    }
    vector("post_attention_layernorm.weight", kHidden);
    if (model_type.starts_with("gemma")) {
        vector("pre_feedforward_layernorm.weight", kHidden);
        vector("post_feedforward_layernorm.weight", kHidden);
    }
    matrix("mlp.gate_proj", kInner, kHidden);
    matrix("mlp.up_proj", kInner, kHidden);
    matrix("mlp.down_proj", kHidden, kInner);
}

} // namespace

void MemoryTensors::add(const std::string& name, const at::Tensor& values)
{
    entries_.push_back(tensor::entry_for(name, values.sizes().vec(), values.scalar_type()));
    tensors_.emplace(name, values);
}

void MemoryTensors::remove(const std::string& name)
{
    std::erase_if(entries_, [&](const tensor::TensorEntry& entry) { return entry.name == name; });
    tensors_.erase(name);
}

const tensor::TensorEntry* MemoryTensors::find(std::string_view name) const
{
    for (const tensor::TensorEntry& entry : entries_) {
        if (entry.name == name) {
            return &entry;
        }
    }
    return nullptr;
}

at::Tensor MemoryTensors::load(std::string_view name) const
{
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
        fail(ErrorCode::MissingTensor, "no such tensor", {{"tensor", std::string(name)}});
    }
    return found->second;
}

quant::QuantizedWeight random_weight(const Scheme& scheme, int64_t rows, int64_t columns)
{
    const int64_t width = scheme.group_size == kGroupPerRow ? columns : scheme.group_size;
    const int64_t groups = (columns + width - 1) / width;
    quant::QuantizedWeight weight;
    weight.scheme = scheme;
    weight.codes = at::randint(0, 1LL << scheme.bits, {rows, columns}, at::kByte);
    weight.scales = at::randn({rows, groups}).mul(0.1).to(at::kHalf);
    if (scheme.data_type == DataType::IntFloatZero) {
        weight.zeros = at::randn({rows, groups}).to(at::kHalf);
    } else if (scheme.sym) {
        weight.zeros = at::full({rows, groups}, 1LL << (scheme.bits - 1), at::kByte);
    } else {
        weight.zeros = at::randint(0, 1LL << scheme.bits, {rows, groups}, at::kByte);
    }
    return weight;
}

at::Tensor expected_values(const quant::QuantizedWeight& weight)
{
    const int64_t columns = weight.columns();
    const int64_t width =
        weight.scheme.group_size == kGroupPerRow ? columns : weight.scheme.group_size;
    const auto spread = [&](const at::Tensor& values) {
        return values.to(at::kFloat).repeat_interleave(width, 1).narrow(1, 0, columns);
    };
    const at::Tensor codes = weight.codes.to(at::kFloat);
    return weight.scheme.data_type == DataType::IntFloatZero
        ? (codes * spread(weight.scales)) + spread(weight.zeros)
        : (codes - spread(weight.zeros)) * spread(weight.scales);
}

ExportModel::ExportModel(Json config, c10::ScalarType type)
    : tensors(std::make_shared<MemoryTensors>())
{
    at::manual_seed(7);
    model.config = std::move(config);
    model.path = "/models/tiny";
    model.kind = "folder";
    model.spec = arch::family_for(model.config).spec_from_config(model.config);
    model.family = model.spec.family;
    model.tensors = tensors;
    model.info.family = model.family;
    model.info.model_type = model.config["model_type"];
    model.info.architecture = model.config["architectures"][0];
    model.info.tokenizer = "BPE";
    model.info.parameters = 123456;
    model.info.tied_head = model.spec.is_tied;
    model.side_files = {{"tokenizer.json", byte_tokenizer_json()},
        {"generation_config.json", R"({"eos_token_id": 261})"},
        {"tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})"},
        {"chat_template.jinja", "{{ messages }}"}};
    tensors->add("model.embed_tokens.weight", at::randn({kTokens, kHidden}).to(type));
    for (int64_t block = 0; block < kBlocks; ++block) {
        add_block(*this, block, type);
    }
    tensors->add("model.norm.weight", at::randn({kHidden}).to(type));
    if (!model.spec.is_tied) {
        tensors->add("lm_head.weight", at::randn({kTokens, kHidden}).to(type));
        model.info.layers.push_back(
            {"lm_head", -1, kTokens, kHidden, "BF16", kTokens * kHidden * 2, false, {}});
    }
    for (const LayerInfo& layer : model.info.layers) {
        plan.layers.push_back({layer.name, layer.block_index, layer.rows, layer.columns,
            keep_scheme(), "kept by the test"});
    }
}

void ExportModel::plan_layer(const std::string& name, const Scheme& scheme)
{
    for (PlannedLayer& layer : plan.layers) {
        if (layer.name != name) {
            continue;
        }
        layer.scheme = scheme;
        layer.reason = "chosen by the test";
        layers.layers.erase(name);
        if (scheme.is_quantized()) {
            layers.layers.emplace(name, random_weight(scheme, layer.rows, layer.columns));
        }
    }
}

void ExportModel::plan_all(const Scheme& scheme)
{
    for (const LayerInfo& layer : model.info.layers) {
        if (layer.block_index >= 0 && layer.quantizable) {
            plan_layer(layer.name, scheme);
        }
    }
}

Json llama_config()
{
    return {{"architectures", {"LlamaForCausalLM"}}, {"model_type", "llama"},
        {"hidden_size", kHidden}, {"intermediate_size", kInner}, {"num_hidden_layers", kBlocks},
        {"num_attention_heads", kHeads}, {"num_key_value_heads", kKvHeads}, {"vocab_size", kTokens},
        {"max_position_embeddings", 128}, {"rms_norm_eps", 1e-5}, {"rope_theta", 10000.0},
        {"hidden_act", "silu"}, {"tie_word_embeddings", false}, {"bos_token_id", 260},
        {"eos_token_id", 261}, {"torch_dtype", "bfloat16"}, {"some_unknown_key", "kept"}};
}

Json gemma_config()
{
    Json config = llama_config();
    config["architectures"] = {"GemmaForCausalLM"};
    config["model_type"] = "gemma";
    config.erase("hidden_act");
    config["hidden_activation"] = "gelu_pytorch_tanh";
    config["head_dim"] = kHeadDim;
    config["tie_word_embeddings"] = true;
    return config;
}

Json experts_config(const std::string& model_type)
{
    Json config = llama_config();
    config["model_type"] = model_type;
    config["architectures"] = {model_type == "mixtral" ? "MixtralForCausalLM"
            : model_type == "gpt_oss"                  ? "GptOssForCausalLM"
                                                       : "Qwen3MoeForCausalLM"};
    config["head_dim"] = kHeadDim;
    config["num_experts"] = config["num_local_experts"] = 4;
    config["num_experts_per_tok"] = 2;
    config["moe_intermediate_size"] = kInner;
    config["norm_topk_prob"] = true;
    config["sliding_window"] = model_type == "gpt_oss" ? Json(16) : Json(nullptr);
    return config;
}

Json gemma3_config()
{
    Json config = llama_config();
    config["architectures"] = {"Gemma3ForCausalLM"};
    config["model_type"] = "gemma3_text";
    config.erase("hidden_act");
    config["hidden_activation"] = "gelu_pytorch_tanh";
    config["head_dim"] = kHeadDim;
    config["query_pre_attn_scalar"] = kHeadDim;
    config["sliding_window"] = 16;
    config["layer_types"] = {"sliding_attention", "sliding_attention"};
    config["rope_local_base_freq"] = 10000.0;

    config["tie_word_embeddings"] = true;
    return config;
}

std::string byte_tokenizer_json()
{
    const std::vector<std::string> alphabet = byte_alphabet();
    Json vocab = Json::object();
    for (std::size_t byte = 0; byte < alphabet.size(); ++byte) {
        vocab[alphabet[byte]] = byte;
    }
    Json merges = Json::array();
    int64_t id = 256;
    for (const auto& [left, right] :
        {std::pair{"t", "h"}, std::pair{"th", "e"}, std::pair{"i", "n"}, std::pair{"a", "n"}}) {
        vocab[std::string(left) + right] = id++;
        merges.push_back(std::string(left) + " " + right);
    }
    Json added = Json::array();
    for (const char* text : {"<s>", "</s>", "<|user|>", "tool"}) {
        added.push_back({{"id", id++}, {"content", text}, {"single_word", false}, {"lstrip", false},
            {"rstrip", false}, {"normalized", false}, {"special", std::string(text) != "tool"}});
    }
    const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false},
        {"trim_offsets", true}, {"use_regex", true}};
    const Json tokenizer = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr},
        {"added_tokens", added}, {"normalizer", nullptr}, {"pre_tokenizer", byte_level},
        {"post_processor", nullptr}, {"decoder", byte_level},
        {"model",
            {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr}, {"end_of_word_suffix", nullptr},
                {"fuse_unk", false}, {"byte_fallback", false}, {"vocab", vocab},
                {"merges", merges}}}};
    return tokenizer.dump();
}

} // namespace bitsmith::test
