// SPDX-License-Identifier: GPL-3.0-or-later
#include "arch/rope_config.h"

#include "model/rope.h"

#include <bitsmith/error.h>

namespace bitsmith::arch {

namespace {

using model::RotaryKind;
using model::RotarySpec;

const Json kEmpty = Json::object();

struct Record
{
    const Json* object = &kEmpty; ///< null pointer: this type of layer has no rotary embedding
    std::string path;
};

bool is_per_layer_type(const Json& raw)
{
    return raw.contains("full_attention") || raw.contains("sliding_attention");
}

Record find_record(
    const ConfigReader& config, std::string_view layer_type, const RopeDefaults& defaults)
{
    Record record;
    for (const char* field : {"rope_scaling", "rope_parameters"}) {
        if (config.is_set(field)) {
            record = {&config.object().at(field), std::string(field) + "."};
            break;
        }
    }
    if (record.path.empty() && defaults.record) {
        record.object = defaults.record;
    }
    if (record.object->is_object() && is_per_layer_type(*record.object)) {
        const auto at = record.object->find(std::string(layer_type));
        if (at == record.object->end()) {
            config.reject(record.path + std::string(layer_type), "a record per layer type");
        }
        record.path += std::string(layer_type) + ".";
        record.object = at->is_null() ? nullptr : &*at;
    }
    return record;
}

RotaryKind kind_of(const ConfigReader& record, const RopeDefaults& defaults)
{
    const char* field = record.is_set("rope_type") ? "rope_type" : "type";
    const std::string type = record.word(field);
    if (type.empty() || type == "default" || type == "mrope") {
        return RotaryKind::Default;
    }
    if (defaults.su_and_yarn_are_longrope && (type == "su" || type == "yarn")) {
        return RotaryKind::LongRope;
    }
    const std::pair<std::string_view, RotaryKind> known[] = {{"linear", RotaryKind::Linear},
        {"dynamic", RotaryKind::Dynamic}, {"llama3", RotaryKind::Llama3},
        {"yarn", RotaryKind::Yarn}, {"longrope", RotaryKind::LongRope}};
    for (const auto& [word, kind] : known) {
        if (type == word) {
            return kind;
        }
    }
    record.unsupported(field, "default, linear, dynamic, llama3, yarn, longrope");
}

void read_lengths(RotarySpec& spec, const ConfigReader& config, const ConfigReader& record)
{
    spec.max_length = config.count("max_position_embeddings");
    const auto top = config.optional_count("original_max_position_embeddings");
    spec.original_length =
        top.value_or(record.count_or("original_max_position_embeddings", spec.max_length));
}

void read_factor(RotarySpec& spec, const ConfigReader& record, bool required)
{
    const auto factor = record.optional_number("factor");
    if (required && !factor) {
        record.reject("factor", "a number above zero");
    }
    spec.has_factor = factor.has_value();
    spec.factor = factor.value_or(1);
}

void read_yarn(RotarySpec& spec, const ConfigReader& record)
{
    spec.attention_factor = record.optional_number("attention_factor");
    // Zero means "not given" for these two.
    for (auto [field, value] :
        {std::pair{"mscale", &spec.mscale}, std::pair{"mscale_all_dim", &spec.mscale_all_dim}}) {
        if (record.is_set(field) && record.object().at(field) != 0) {
            *value = record.optional_number(field);
        }
    }
    spec.beta_fast = record.number_or("beta_fast", 32);
    spec.beta_slow = record.number_or("beta_slow", 1);
    spec.truncate = record.flag_or("truncate", true);
}

void read_longrope(RotarySpec& spec, const ConfigReader& record, int64_t head_dim)
{
    spec.attention_factor = record.optional_number("attention_factor");
    spec.short_factor = record.numbers("short_factor");
    spec.long_factor = record.numbers("long_factor");
    const auto pairs = static_cast<std::size_t>(rotary_dim(spec, head_dim) / 2);
    for (auto [field, list] : {std::pair{"short_factor", &spec.short_factor},
             std::pair{"long_factor", &spec.long_factor}}) {
        const auto positive = [](double v) { return v > 0; };
        if (list->size() != pairs || !std::all_of(list->begin(), list->end(), positive)) {
            record.reject(field, std::to_string(pairs) + " numbers above zero");
        }
    }
}

} // namespace

RotarySpec resolve_rotary(const ConfigReader& config, std::string_view layer_type, int64_t head_dim,
    const RopeDefaults& defaults)
{
    const Record found = find_record(config, layer_type, defaults);
    RotarySpec spec;
    if (!found.object) {
        spec.kind = RotaryKind::None;
        return spec;
    }
    const ConfigReader record(*found.object, found.path);
    spec.kind = kind_of(record, defaults);
    spec.theta = record.number_or("rope_theta", config.number_or("rope_theta", defaults.theta));
    spec.partial = record.number_or(
        "partial_rotary_factor", config.number_or("partial_rotary_factor", defaults.partial));
    if (spec.partial > 1) {
        config.reject("partial_rotary_factor", "a number above 0, at most 1");
    }
    rotary_dim(spec, head_dim); // refuses a part that is odd or empty
    if (spec.kind == RotaryKind::Default) {
        return spec;
    }
    read_lengths(spec, config, record);
    const bool may_lack_factor = spec.kind == RotaryKind::Yarn || spec.kind == RotaryKind::LongRope;
    read_factor(spec, record, !may_lack_factor);
    if (spec.kind == RotaryKind::Llama3) {
        spec.low_freq = record.number_or("low_freq_factor", 1);
        spec.high_freq = record.number_or("high_freq_factor", 4);
        if (spec.high_freq <= spec.low_freq) {
            record.reject("high_freq_factor", "a number above low_freq_factor");
        }
    } else if (spec.kind == RotaryKind::Yarn) {
        read_yarn(spec, record);
    } else if (spec.kind == RotaryKind::LongRope) {
        read_longrope(spec, record, head_dim);
    } else if (spec.kind == RotaryKind::Dynamic && rotary_dim(spec, head_dim) <= 2) {
        config.reject("head_dim", "more than two rotary components per head");
    }
    return spec;
}

} // namespace bitsmith::arch
