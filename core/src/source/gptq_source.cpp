// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gptq_source.h"

#include "base/text.h"
#include "source/config_fields.h"
#include "source/name_pattern.h"
#include "source/packed_layer.h"

#include <bitsmith/error.h>

namespace bitsmith::source {

namespace {

/// An entry of `dynamic`.
struct DynamicRule
{
    NamePattern pattern;
    bool is_kept; ///< "-:", the layer is not quantized
    Json values; ///< what differs from the common rule
};

struct GptqConfig
{
    PackedRule common;
    std::vector<DynamicRule> rules;
};

std::vector<DynamicRule> dynamic_rules(const Json& dynamic)
{
    if (!dynamic.is_null() && !dynamic.is_object()) {
        malformed_field("dynamic", dynamic, "an object");
    }
    std::vector<DynamicRule> rules;
    for (const auto& [key, values] : dynamic.items()) {
        const std::string field = concat("dynamic.", key);
        if (!values.is_object() && !values.is_null()) {
            malformed_field(field, values, "an object");
        }
        const bool has_prefix = key.starts_with("+:") || key.starts_with("-:");
        rules.push_back(
            {NamePattern(has_prefix ? key.substr(2) : key, field), key.starts_with("-:"), values});
    }
    return rules;
}

GptqConfig gptq_config(const Json& config)
{
    require_object(config);
    GptqConfig result;
    const std::string format =
        text_field(config, "checkpoint_format", text_field(config, "format", "gptq"));
    if (format == "gptq") {
        result.common.offset = tensor::ZeroOffset::MinusOne;
    } else if (format != "gptq_v2") {
        unsupported_field("checkpoint_format", format, "gptq, gptq_v2");
    }
    if (flag_field(config, "is_marlin_format", false)) {
        unsupported_field("is_marlin_format", "true", "false");
    }
    if (const std::string type = text_field(config, "pack_dtype", "int32"); type != "int32") {
        unsupported_field("pack_dtype", type, "int32");
    }
    if (const Json& bits = member(config, "bits"); bits.is_null()) {
        malformed_field("bits", bits, "2, 3, 4, 8");
    }
    result.common = with_fields(config, result.common);
    result.rules = dynamic_rules(member(config, "dynamic"));
    return result;
}

PackedRule rule_for(const GptqConfig& config, const std::string& layer)
{
    for (const DynamicRule& rule : config.rules) {
        if (!rule.pattern.matches_start(layer)) {
            continue;
        }
        if (rule.is_kept) {
            fail(ErrorCode::FileCorrupt, "a layer is packed that the configuration leaves alone",
                {{"tensor", layer + ".qweight"}, {"field", "quantization_config.dynamic"}});
        }
        return with_fields(rule.values, config.common);
    }
    return config.common;
}

} // namespace

std::shared_ptr<const DecodedSource> open_gptq(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    const GptqConfig config = gptq_config(quantization_config);
    return open_packed(
        std::move(stored), [&](const std::string& layer) { return rule_for(config, layer); });
}

} // namespace bitsmith::source
