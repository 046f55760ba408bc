// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/metadata.h"

#include "arch/registry.h"
#include "base/text.h"
#include "export/config_writer.h"

#include <bitsmith/version.h>

#include <array>
#include <cmath>

namespace bitsmith::exporting {

namespace {

using model::AttentionSpec;
using model::MaskKind;
using model::RotaryKind;

/// Model sizes whose attention scale llama.cpp takes from hidden / heads instead of the head size.
constexpr int64_t kGemma2LargeBlocks = 46;
constexpr int64_t kGemma3LargeBlocks = 62;
constexpr int64_t kGemma2Period = 2, kGemma3Period = 6; ///< every n-th block has no window

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

[[noreturn]] void cannot_say(const char* what, std::string found, std::string allowed)
{
    fail(ErrorCode::UnsupportedModel,
        concat("llama.cpp computes this architecture with another ", what),
        {{"field", what}, {"found", std::move(found)}, {"allowed", std::move(allowed)}},
        "Export in another format.");
}

/// The block whose settings stand for all: the first one without a window, else the first.
const AttentionSpec& full_attention(const model::DecoderSpec& spec)
{
    for (const model::BlockSpec& block : spec.blocks) {
        if (block.attention.mask == MaskKind::Causal) {
            return block.attention;
        }
    }
    return spec.blocks.front().attention;
}

const AttentionSpec* windowed_attention(const model::DecoderSpec& spec)
{
    for (const model::BlockSpec& block : spec.blocks) {
        if (block.attention.mask == MaskKind::Sliding) {
            return &block.attention;
        }
    }
    return nullptr;
}

bool is_gemma(std::string_view arch)
{
    return arch == "gemma2" || arch == "gemma3";
}

void check_scale(const model::DecoderSpec& spec, std::string_view arch)
{
    const AttentionSpec& attention = spec.blocks.front().attention;
    const auto blocks = static_cast<int64_t>(spec.blocks.size());
    const bool large = (arch == "gemma2" && blocks == kGemma2LargeBlocks)
        || (arch == "gemma3" && blocks == kGemma3LargeBlocks);
    const int64_t width = large ? spec.hidden / attention.n_heads : attention.head_dim;
    const double expected = 1.0 / std::sqrt(static_cast<double>(width));
    // longrope's own factor on the scores travels in rope.scaling.attn_factor.
    if (std::abs(attention.scale - expected) > 1e-6 * expected) {
        cannot_say("attention scale", concat(attention.scale), concat(expected));
    }
}

void check_windows(const model::DecoderSpec& spec, std::string_view arch)
{
    const int64_t period = arch == "gemma2" ? kGemma2Period : kGemma3Period;
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        const bool full = (static_cast<int64_t>(i) + 1) % period == 0;
        if (full != (spec.blocks[i].attention.mask == MaskKind::Causal)) {
            cannot_say("pattern of windows",
                concat("block ", i, full ? " has a window" : " has none"),
                concat("no window in every ", period, "th block"));
        }
    }
}

void check_arithmetic(const model::DecoderSpec& spec, std::string_view arch)
{
    check_scale(spec, arch);
    if (is_gemma(arch)) {
        check_windows(spec, arch);
    }
    const model::Activation wanted =
        is_gemma(arch) ? model::Activation::GeluTanh : model::Activation::Silu;
    if (spec.blocks.front().mlp.act != wanted) {
        cannot_say("activation", "another function",
            wanted == model::Activation::Silu ? "silu" : "gelu with tanh");
    }
}

void add_rotary(ArchFields& fields, const ExportInput& input, std::string_view arch)
{
    const model::DecoderSpec& spec = input.model.spec;
    const AttentionSpec& attention = full_attention(spec);
    const model::RotarySpec& rotary = attention.rotary;
    const auto dims = static_cast<int64_t>(
        std::llround(rotary.partial * static_cast<double>(attention.head_dim)));
    fields.set_count("rope.dimension_count", dims);
    fields.set_number("rope.freq_base", rotary.theta);
    switch (rotary.kind) {
    case RotaryKind::Default:
    case RotaryKind::Llama3: // as a tensor of divisors
        break;
    case RotaryKind::Linear:
        fields.set_text("rope.scaling.type", "linear");
        fields.set_number("rope.scaling.factor", rotary.factor);
        break;
    case RotaryKind::Yarn:
        fields.set_text("rope.scaling.type", "yarn");
        fields.set_number("rope.scaling.factor", rotary.factor);
        fields.set_count("rope.scaling.original_context_length", rotary.original_length);
        fields.set_number("rope.scaling.yarn_beta_fast", rotary.beta_fast);
        fields.set_number("rope.scaling.yarn_beta_slow", rotary.beta_slow);
        break;
    case RotaryKind::LongRope: {
        const double scale =
            static_cast<double>(spec.max_length) / static_cast<double>(rotary.original_length);
        const double factor = scale <= 1
            ? 1.0
            : std::sqrt(
                1 + std::log(scale) / std::log(static_cast<double>(rotary.original_length)));
        fields.set_number("rope.scaling.attn_factor", rotary.attention_factor.value_or(factor));
        break;
    }
    default:
        cannot_say(
            "rotary scaling", "a kind without a key", "none, linear, llama3, yarn, longrope");
    }
    if (arch == "phi3") {
        const Json& config = arch::decoder_config(input.model.config);
        fields.set_count("rope.scaling.original_context_length",
            config.value("original_max_position_embeddings", spec.max_length));
    }
}

void add_windows(ArchFields& fields, const model::DecoderSpec& spec, std::string_view arch)
{
    const AttentionSpec* windowed = windowed_attention(spec);
    if (is_gemma(arch) && windowed != nullptr) {
        fields.set_count("attention.sliding_window", windowed->window);
        if (arch == "gemma3") {
            fields.set_number("rope.freq_base_swa", windowed->rotary.theta);
        }
    } else if (arch == "phi3") {
        fields.set_count("attention.sliding_window", windowed != nullptr ? windowed->window : 0);
    }
}

void add_architecture(ArchFields& fields, const ExportInput& input, std::string_view arch)
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
    if (arch == "llama") {
        fields.set_count("vocab_size", spec.vocab);
    }
    if (attention.softcap > 0) {
        fields.set_number("attn_logit_softcapping", attention.softcap);
    }
    if (spec.logits_softcap > 0) {
        fields.set_number("final_logit_softcapping", spec.logits_softcap);
    }
    add_windows(fields, spec, arch);
    add_rotary(fields, input, arch);
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
    const model::DecoderSpec& spec = input.model.spec;
    if (spec.blocks.empty()) {
        fail(ErrorCode::UnsupportedModel, "a model without blocks cannot be written as GGUF");
    }
    const std::string_view arch = plan.family->arch;
    check_arithmetic(spec, arch);
    fields.set("general.architecture", std::string(arch));
    fields.set("general.type", std::string("model"));
    fields.set("general.name", model_name(input.model));
    fields.set("general.size_label", size_label(input.model.info.parameters));
    if (const std::string license = source_license(input.model); !license.empty()) {
        fields.set("general.license", license);
    }
    fields.set("general.quantized_by", concat("Bitsmith ", BITSMITH_VERSION));
    ArchFields own(fields, arch);
    add_architecture(own, input, arch);
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
    if (windowed != nullptr && !is_gemma(arch) && arch != "phi3") {
        notes.push_back(concat("llama.cpp computes the architecture '", arch,
            "' without the model's attention window of ", windowed->window,
            " tokens; longer texts give other results."));
    }
    return notes;
}

} // namespace bitsmith::exporting
