// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/awq_source.h"

#include "base/text.h"
#include "source/config_fields.h"
#include "source/packed_layer.h"

namespace bitsmith::source {

namespace {

PackedRule awq_rule(const Json& config)
{
    require_object(config);
    for (const char* key : {"version", "format", "checkpoint_format"}) {
        const std::string version = text_field(config, key, "gemm");
        if (lower(version) != "gemm") {
            unsupported_field(key, version, "gemm");
        }
    }
    PackedRule rule;
    rule.order = PackedOrder::Awq;
    rule.bits = integer_field(config, "bits", integer_field(config, "w_bit", 4));
    if (rule.bits != 4) {
        unsupported_field("bits", std::to_string(rule.bits), "4");
    }
    rule.group_size =
        integer_field(config, "group_size", integer_field(config, "q_group_size", 128));
    rule.sym = !flag_field(config, "zero_point", true);
    return rule;
}

} // namespace

std::shared_ptr<const DecodedSource> open_awq(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    const PackedRule rule = awq_rule(quantization_config);
    return open_packed(std::move(stored), [&](const std::string&) { return rule; });
}

} // namespace bitsmith::source
