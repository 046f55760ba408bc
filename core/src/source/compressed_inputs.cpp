// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/compressed_inputs.h"

#include "base/text.h"
#include "source/config_fields.h"

#include <algorithm>

namespace bitsmith::source {

namespace {

constexpr const char* kInputs = "input_activations";
constexpr std::string_view kPattern = "re:";
constexpr std::string_view kLinear = "Linear";

/// `false` and null mean calibrated scales, `true` and "local" those of the input.
bool is_dynamic(const Json& arguments)
{
    const Json& value = member(arguments, "dynamic");
    return value.is_boolean() ? value.get<bool>() : !value.is_null();
}

/// Numbers of inputs beside weights of type `weights`; the words do not tell MX from FP8.
DataType number_type(const Json& arguments, const std::string& strategy, DataType weights)
{
    if (text_field(arguments, "type", "int") == "int") {
        return DataType::Int;
    }
    if (strategy == "tensor_group") {
        return DataType::NvFp;
    }
    const bool is_mx = weights == DataType::MxFp && strategy == "group";
    return is_mx ? DataType::MxFp : DataType::Fp8;
}

/// -2, which no scheme has, for strategies of weights and of attention.
int64_t group_size(const Json& arguments, const std::string& strategy)
{
    if (strategy == "token") {
        return kGroupPerRow;
    }
    return strategy == "tensor"       ? kGroupPerTensor
        : strategy.ends_with("group") ? integer_field(arguments, "group_size", -2)
                                      : -2;
}

Scheme inputs_of(const Json& arguments, DataType weights)
{
    const bool has_groups = integer_field(arguments, "group_size", 0) > 0;
    const std::string strategy = text_field(arguments, "strategy", has_groups ? "group" : "tensor");
    Scheme scheme;
    scheme.act_bits = integer_field(arguments, "num_bits", 8);
    scheme.act_sym = flag_field(arguments, "symmetric", true);
    scheme.act_data_type = number_type(arguments, strategy, weights);
    scheme.act_group_size = group_size(arguments, strategy);
    scheme.act_dynamic = is_dynamic(arguments);
    return scheme;
}

} // namespace

CompressedInputs::CompressedInputs(const Json& quantization_config)
{
    const Json& groups = member(quantization_config, "config_groups");
    const bool has_inputs = std::any_of(groups.begin(), groups.end(),
        [](const Json& group) { return !member(group, kInputs).is_null(); });
    if (!has_inputs) {
        return;
    }
    for (const auto& [name, group] : groups.items()) {
        add_group(group, concat("config_groups.", name));
    }
}

void CompressedInputs::add_group(const Json& group, const std::string& field)
{
    const std::size_t index = arguments_.size();
    arguments_.push_back(member(group, kInputs));
    const Json& targets = member(group, "targets");
    if (!targets.is_null() && !targets.is_array()) {
        malformed_field(concat(field, ".targets"), targets, "a list of names");
    }
    for (const Json& target : targets) {
        if (!target.is_string()) {
            malformed_field(concat(field, ".targets"), target, "a list of names");
        }
        const std::string word = target.get<std::string>();
        if (word == kLinear) {
            linear_ = linear_.value_or(index);
        } else if (word.starts_with(kPattern)) {
            patterns_.emplace_back(
                NamePattern(word.substr(kPattern.size()), concat(field, ".targets")), index);
        } else {
            names_.emplace(word, index);
        }
    }
}

const Json* CompressedInputs::arguments_of(const std::string& layer) const
{
    if (const auto named = names_.find(layer); named != names_.end()) {
        return &arguments_[named->second];
    }
    const auto pattern = std::find_if(patterns_.begin(), patterns_.end(),
        [&](const auto& entry) { return entry.first.matches_start(layer); });
    if (pattern != patterns_.end()) {
        return &arguments_[pattern->second];
    }
    return linear_ ? &arguments_[*linear_] : nullptr;
}

void CompressedInputs::set(StoredLayer& layer) const
{
    const Json* arguments = arguments_of(layer.name);
    if (arguments != nullptr && !arguments->is_null()) {
        set_inputs(layer, inputs_of(*arguments, layer.scheme.data_type));
    }
}

CacheRule compressed_cache(const Json& quantization_config)
{
    const Json& cache = member(quantization_config, "kv_cache_scheme");
    if (cache.is_null() || cache.empty()) {
        return {};
    }
    const bool is_known = integer_field(cache, "num_bits", 8) == 8
        && text_field(cache, "type", "int") == "float" && flag_field(cache, "symmetric", true)
        && text_field(cache, "strategy", "tensor") == "tensor" && !is_dynamic(cache);
    return is_known
        ? CacheRule{CacheType::Fp8, {}}
        : CacheRule{CacheType::None, concat("kv_cache_scheme is ", printable(cache.dump()))};
}

} // namespace bitsmith::source
