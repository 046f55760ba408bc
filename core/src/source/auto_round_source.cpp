// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/auto_round_source.h"

#include "base/text.h"
#include "source/compressed_layer.h"
#include "source/config_fields.h"
#include "source/fp8_source.h"
#include "source/mlx_source.h"
#include "source/name_pattern.h"
#include "source/packed_layer.h"

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

using tensor::ZeroOffset;
using TensorsPtr = std::shared_ptr<const tensor::TensorSource>;
using DecodedPtr = std::shared_ptr<const DecodedSource>;

/// `extra_config`.
struct LayerRules
{
    const Json& exact; ///< by name
    std::vector<std::pair<NamePattern, const Json*>> patterns;
};

LayerRules layer_rules(const Json& config)
{
    LayerRules rules{member(config, "extra_config"), {}};
    if (!rules.exact.is_null() && !rules.exact.is_object()) {
        malformed_field("extra_config", rules.exact, "an object");
    }
    for (const auto& [key, values] : rules.exact.items()) {
        const std::string field = concat("extra_config.", key);
        if (!values.is_object()) {
            malformed_field(field, values, "an object");
        }
        if (is_pattern(key)) {
            rules.patterns.emplace_back(NamePattern(key, field), &values);
        }
    }
    return rules;
}

/// Null for a layer without an exception.
const Json& exception_for(const LayerRules& rules, const std::string& layer)
{
    const Json& own = member(rules.exact, layer);
    if (!own.is_null()) {
        return own;
    }
    const auto found = std::find_if(rules.patterns.begin(), rules.patterns.end(),
        [&](const auto& entry) { return entry.first.occurs_in(layer); });
    return found == rules.patterns.end() ? own : *found->second;
}

PackedRule rule_for(const LayerRules& rules, const std::string& layer, const PackedRule& common)
{
    return with_fields(exception_for(rules, layer), common);
}

/// Words for numbers of inputs; longer ones first where they begin alike. NVFP4's scale of the
/// tensor is calibrated, those of groups follow from the input.
constexpr std::array<std::pair<std::string_view, DataType>, 8> kInputWords = {
    {{"mx_fp_rceil", DataType::MxFpRceil}, {"mx_fp", DataType::MxFp}, {"mx_int", DataType::MxInt},
        {"nv_fp", DataType::NvFp}, {"nvfp4_v2", DataType::NvFpE5m3},
        {"fp8_e5m2", DataType::Fp8E5m2}, {"fp", DataType::Fp8}, {"int", DataType::Int}}};

DataType input_type(const std::string& word)
{
    const auto found = std::find_if(kInputWords.begin(), kInputWords.end(),
        [&](const auto& known) { return word.starts_with(known.first); });
    return found == kInputWords.end() ? DataType::Float : found->second;
}

/// The fields act_*, of `own` before `common`.
Scheme inputs_of(const Json& common, const Json& own)
{
    const auto text = [&](const char* key, const std::string& otherwise) {
        return text_field(own, key, text_field(common, key, otherwise));
    };
    const auto integer = [&](const char* key, int64_t otherwise) {
        return integer_field(own, key, integer_field(common, key, otherwise));
    };
    const auto flag = [&](const char* key) {
        return flag_field(own, key, flag_field(common, key, true));
    };
    Scheme inputs;
    inputs.act_bits = integer("act_bits", 16);
    if (!inputs.quantizes_activations()) {
        return inputs;
    }
    inputs.act_group_size = integer("act_group_size", kGroupPerRow);
    inputs.act_sym = flag("act_sym");
    inputs.act_dynamic = flag("act_dynamic");
    inputs.act_data_type = input_type(text("act_data_type", text("data_type", "int")));
    return inputs;
}

/// `static_kv_dtype`, of which FP8 has a scale per tensor.
CacheRule cache_of(const Json& config)
{
    const std::string word = text_field(config, "static_kv_dtype", "");
    if (word.empty()) {
        return {};
    }
    const bool is_fp8 = word == "fp8" || word.ends_with("float8_e4m3fn");
    return is_fp8 ? CacheRule{CacheType::Fp8, {}}
                  : CacheRule{CacheType::None, concat("static_kv_dtype is ", printable(word))};
}

DecodedPtr open_integers(const Json& config, TensorsPtr stored, PackedRule common)
{
    if (const std::string type = text_field(config, "data_type", "int"); type != "int") {
        unsupported_field("data_type", type, "int");
    }
    if (const int64_t act = integer_field(config, "act_bits", 16); act < 16) {
        unsupported_field("act_bits", std::to_string(act), "16");
    }
    const LayerRules rules = layer_rules(config);
    common = with_fields(config, common);
    return open_packed(
        std::move(stored), [&](const std::string& layer) { return rule_for(rules, layer, common); },
        cache_of(config));
}

DecodedPtr open_minus_one(const Json& config, TensorsPtr stored)
{
    return open_integers(config, std::move(stored), {.offset = ZeroOffset::MinusOne});
}

DecodedPtr open_awq_order(const Json& config, TensorsPtr stored)
{
    return open_integers(config, std::move(stored), {.order = PackedOrder::Awq});
}

DecodedPtr open_layout(const Json& config, TensorsPtr stored, const CompressedConfig& layout)
{
    const LayerRules rules = layer_rules(config);
    return std::make_shared<DecodedSource>(
        std::move(stored),
        [&](const tensor::TensorSource& tensors,
            const tensor::TensorEntry& entry) -> std::unique_ptr<const StoredLayer> {
            auto layer = find_compressed_layer(tensors, layout, entry);
            if (layer != nullptr) {
                set_inputs(*layer, inputs_of(config, exception_for(rules, layer->name)));
            }
            return layer;
        },
        cache_of(config));
}

DecodedPtr open_small_floats(const Json& config, TensorsPtr stored, DataType byte_pairs)
{
    CompressedConfig layout;
    layout.byte_pairs = byte_pairs;
    return open_layout(config, std::move(stored), layout);
}

DecodedPtr open_fp8_layers(const Json& config, TensorsPtr stored)
{
    return open_layout(config, std::move(stored), read_fp8_config(config));
}

bool is_mx_int(const Json& config)
{
    return text_field(config, "data_type", "int").starts_with("mx_int");
}

DecodedPtr open_plain_zeros(const Json& config, TensorsPtr stored)
{
    return is_mx_int(config) ? open_small_floats(config, std::move(stored), DataType::MxInt)
                             : open_integers(config, std::move(stored), {});
}

DecodedPtr open_compressor(const Json& config, TensorsPtr stored)
{
    return open_small_floats(
        config, std::move(stored), is_mx_int(config) ? DataType::MxInt : DataType::MxFp);
}

DecodedPtr open_e5m3(const Json& config, TensorsPtr stored)
{
    return open_small_floats(config, std::move(stored), DataType::NvFpE5m3);
}

/// Absent means auto_gptq for integers (formats.md 2.11); weight-only FP8 has no word either (2.8).
DecodedPtr open_unnamed(const Json& config, TensorsPtr stored)
{
    const bool is_float = text_field(config, "data_type", "int").starts_with("fp");
    return is_float ? open_fp8_layers(config, std::move(stored))
                    : open_minus_one(config, std::move(stored));
}

struct Packing
{
    std::string_view word; ///< packing_format
    DecodedPtr (*open)(const Json& config, TensorsPtr stored);
};

/// The explicit list of packings that can be read; two words are spellings of old versions.
constexpr std::array kPackings = {
    Packing{"", open_unnamed},
    Packing{"auto_round", open_plain_zeros},
    Packing{"auto_round:gptqmodel", open_plain_zeros},
    Packing{"auto_round:auto_gptq", open_minus_one},
    Packing{"auto_round:gptq", open_minus_one},
    Packing{"auto_round:auto_awq", open_awq_order},
    Packing{"auto_round:awq", open_awq_order},
    Packing{"auto_round:llm_compressor", open_compressor},
    Packing{"auto_round:llm_compressor_nvfp4_e5m3", open_e5m3},
    Packing{"auto_round:fp8_static", open_fp8_layers},
    Packing{"auto_round:fp8", open_fp8_layers},
    Packing{"auto_round:mlx", open_mlx},
    Packing{"mlx", open_mlx},
};

void check_method(const Json& config)
{
    require_object(config);
    const std::string method = text_field(config, "quant_method", "");
    if (method != "auto-round" && method != "intel/auto-round") { // the second one by old versions
        unsupported_field("quant_method", method, "auto-round");
    }
    for (const char* key : {"rotation_config", "spinquant_config"}) {
        if (const Json& rotation = member(config, key); !rotation.is_null()) {
            unsupported_field(key, rotation.dump(), "absent: rotated weights are not supported");
        }
    }
}

} // namespace

DecodedPtr open_auto_round(const Json& quantization_config, TensorsPtr stored)
{
    check_method(quantization_config);
    const std::string word = text_field(quantization_config, "packing_format", "");
    std::vector<std::string> words;
    for (const Packing& packing : kPackings) {
        if (packing.word == word) {
            return packing.open(quantization_config, std::move(stored));
        }
        words.emplace_back(packing.word.empty() ? "absent" : packing.word);
    }
    unsupported_field("packing_format", word, join(words, ", "));
}

} // namespace bitsmith::source
