// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/metadata.h"

#include "arch/registry.h"
#include "base/text.h"
#include "export/gguf/graph.h"
#include "export/model_card.h"
#include "model/rope.h"

#include <bitsmith/version.h>

#include <array>
#include <cmath>

namespace bitsmith::exporting {

namespace {

using model::AttentionSpec;
using model::RotaryKind;

uint32_t count(int64_t value)
{
    return static_cast<uint32_t>(value);
}

/// Keys under the architecture's prefix.
class ArchFields
{
public:
    ArchFields(tensor::GgufFields& fields, std::string_view arch)
        : fields_(fields)
        , prefix_(concat(arch, "."))
    { }
    void set_count(std::string_view key, int64_t value) { fields_.set(name(key), count(value)); }
    void set_number(std::string_view key, double value)
    {
        fields_.set(name(key), static_cast<float>(value));
    }
    void set_text(std::string_view key, std::string value)
    {
        fields_.set(name(key), std::move(value));
    }

private:
    std::string name(std::string_view key) const { return prefix_ + std::string(key); }

    tensor::GgufFields& fields_;
    std::string prefix_;
};

void add_yarn(ArchFields& fields, const model::RotarySpec& rotary, double factor)
{
    const double ratio = model::length_ratio(rotary);
    fields.set_text("rope.scaling.type", "yarn");
    fields.set_number("rope.scaling.factor", ratio);
    fields.set_count("rope.scaling.original_context_length", rotary.original_length);
    fields.set_number("rope.scaling.yarn_beta_fast", rotary.beta_fast);
    fields.set_number("rope.scaling.yarn_beta_slow", rotary.beta_slow);
    // llama.cpp multiplies what the key says with YaRN's own factor.
    const double own = model::yarn_mscale(ratio);
    if (std::abs(factor - own) > 1e-6 * own) {
        fields.set_number("rope.scaling.attn_factor", factor / own);
    }
}

void add_rotary(ArchFields& fields, const ExportInput& input, const GgufGraph& graph)
{
    const model::DecoderSpec& spec = input.model.spec;
    const AttentionSpec& attention = full_attention(spec);
    const model::RotarySpec& rotary = attention.rotary;
    fields.set_count("rope.dimension_count", model::rotary_dim(rotary, attention.head_dim));
    fields.set_number("rope.freq_base", rotary.theta);
    const double factor = model::rotary_frequencies(rotary, attention.head_dim, 1).factor;
    if (rotary.kind == RotaryKind::Linear) {
        fields.set_text("rope.scaling.type", "linear");
        fields.set_number("rope.scaling.factor", rotary.factor);
    } else if (rotary.kind == RotaryKind::Yarn) {
        add_yarn(fields, rotary, factor);
    } else if (rotary.kind == RotaryKind::LongRope) {
        fields.set_number("rope.scaling.attn_factor", factor);
    }
    if (graph.rotary_tensors == RotaryKind::LongRope) { // with and without the tensors
        const Json& config = arch::decoder_config(input.model.config);
        fields.set_count("rope.scaling.original_context_length",
            config.value("original_max_position_embeddings", spec.max_length));
    }
}

void add_windows(ArchFields& fields, const model::DecoderSpec& spec, const GgufGraph& graph)
{
    const AttentionSpec* windowed = windowed_attention(spec);
    if (graph.window_period > 0) {
        fields.set_count("attention.sliding_window", windowed->window);
    } else if (graph.rotary_tensors == RotaryKind::LongRope) { // always there, but not computed
        fields.set_count("attention.sliding_window", windowed != nullptr ? windowed->window : 0);
    }
    if (graph.local_rotary) {
        fields.set_number("rope.freq_base_swa", windowed->rotary.theta);
    }
}

void add_experts(ArchFields& fields, const model::BlockSpec& block)
{
    if (!block.moe) {
        return;
    }
    fields.set_count("expert_count", block.moe->n_experts);
    fields.set_count("expert_used_count", block.moe->router.top_k);
    fields.set_count("expert_feed_forward_length", block.moe->expert_dim);
}

void add_architecture(ArchFields& fields, const ExportInput& input, const GgufGraph& graph)
{
    const model::DecoderSpec& spec = input.model.spec;
    const AttentionSpec& attention = spec.blocks.front().attention;
    fields.set_count("block_count", static_cast<int64_t>(spec.blocks.size()));
    fields.set_count("context_length", spec.max_length);
    fields.set_count("embedding_length", spec.hidden);
    fields.set_count("feed_forward_length", spec.blocks.front().mlp.dim);
    fields.set_count("attention.head_count", attention.n_heads);
    fields.set_count("attention.head_count_kv", attention.n_kv_heads);
    fields.set_count("attention.key_length", attention.head_dim);
    fields.set_count("attention.value_length",
        attention.value_dim > 0 ? attention.value_dim : attention.head_dim);
    fields.set_number("attention.layer_norm_rms_epsilon", spec.blocks.front().norm.eps);
    fields.set_count("vocab_size", spec.vocab);
    if (attention.softcap > 0) {
        fields.set_number("attn_logit_softcapping", attention.softcap);
    }
    if (spec.logits_softcap > 0) {
        fields.set_number("final_logit_softcapping", spec.logits_softcap);
    }
    add_experts(fields, spec.blocks.front());
    add_windows(fields, spec, graph);
    add_rotary(fields, input, graph);
}

} // namespace

uint32_t gguf_file_type(std::string_view name)
{
    struct Row
    {
        std::string_view name;
        uint32_t number;
    };
    // Files of one K type alone bear the number of the mix that is nearest.
    static constexpr Row rows[] = {{"F32", 0}, {"F16", 1}, {"Q4_0", 2}, {"Q4_1", 3}, {"Q8_0", 7},
        {"Q5_0", 8}, {"Q5_1", 9}, {"Q2_K", 10}, {"Q2_K_MIXED", 10}, {"Q3_K", 11}, {"Q3_K_S", 11},
        {"Q3_K_M", 12}, {"Q3_K_L", 13}, {"Q4_K", 14}, {"Q4_K_S", 14}, {"Q4_K_M", 15}, {"Q5_K", 16},
        {"Q5_K_S", 16}, {"Q5_K_M", 17}, {"Q6_K", 18}, {"Q2_K_S", 21}, {"BF16", 32}};
    for (const Row& row : rows) {
        if (row.name == name) {
            return row.number;
        }
    }
    fail(ErrorCode::Internal, "no number for files of this GGUF type",
        {{"found", std::string(name)}});
}

std::string size_label(int64_t parameters)
{
    constexpr std::array<std::pair<double, char>, 4> units = {
        {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}}};
    const auto value = static_cast<double>(parameters);
    for (const auto& [unit, letter] : units) {
        if (value >= unit || unit == 1e3) {
            const double scaled = value / unit;
            const double shown = scaled < 9.95 ? std::round(scaled * 10) / 10 : std::round(scaled);
            return concat(shown, letter);
        }
    }
    return {};
}

void add_model_fields(
    tensor::GgufFields& fields, const ExportInput& input, const GgufFilePlan& plan)
{
    const std::string_view arch = plan.family->arch;
    fields.set("general.architecture", std::string(arch));
    fields.set("general.type", std::string("model"));
    const ExportDetails details = stated_details(input.model, input.spec.exports);
    fields.set("general.name", details.model_name);
    const auto state = [&fields](const char* key, const std::string& text) {
        if (!text.empty()) {
            fields.set(key, text);
        }
    };
    state("general.author", details.author);
    fields.set("general.size_label", size_label(input.model.info.parameters));
    state("general.license", details.license);
    state("general.source.url",
        is_hub_id(details.source) ? concat("https://huggingface.co/", details.source)
                                  : details.source);
    fields.set("general.quantized_by", concat("Bitsmith ", BITSMITH_VERSION));
    ArchFields own(fields, arch);
    add_architecture(own, input, gguf_graph(arch));
    fields.set("general.file_type", gguf_file_type(plan.type_name));
    const bool quantized = std::any_of(plan.tensors.begin(), plan.tensors.end(),
        [](const GgufTensorPlan& t) { return tensor::gguf_type(t.header.type).block > 1; });
    if (quantized) {
        fields.set("general.quantization_version", uint32_t{2});
    }
}

std::vector<std::string> model_field_notes(const ExportInput& input, const GgufFilePlan& plan)
{
    std::vector<std::string> notes;
    const std::string_view arch = plan.family->arch;
    const AttentionSpec* windowed = windowed_attention(input.model.spec);
    if (windowed != nullptr && gguf_graph(arch).window_period == 0) {
        notes.push_back(concat("llama.cpp computes the architecture '", arch,
            "' without the model's attention window of ", windowed->window,
            " tokens; longer texts give other results."));
    }
    const model::RotarySpec& rotary = full_attention(input.model.spec).rotary;
    if (rotary.kind == RotaryKind::Dynamic) {
        notes.push_back(concat("llama.cpp does not stretch the rotary embedding for texts longer "
                               "than ",
            rotary.max_length, " tokens, as the model does."));
    }
    if (rotary.kind == RotaryKind::Yarn && !rotary.truncate) {
        notes.emplace_back("llama.cpp rounds the dimensions between which YaRN blends to whole "
                           "ones, the model does not: results differ a little.");
    }
    return notes;
}

} // namespace bitsmith::exporting
