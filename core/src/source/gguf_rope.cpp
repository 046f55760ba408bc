// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_rope.h"

#include "base/text.h"
#include "model/rope.h"
#include "quant/gguf_blocks.h"

#include <bitsmith/error.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace bitsmith::source {
namespace {

/// Divisor of frequency i of d/2, formats.md 6.6 item 3.
double llama3_divisor(double wavelength, double factor, double low, double high, double original)
{
    if (wavelength < original / high) {
        return 1.0;
    }
    if (wavelength > original / low) {
        return factor;
    }
    const double smooth = (original / wavelength - low) / (high - low);
    return 1.0 / ((1.0 - smooth) / factor + smooth);
}

std::vector<float> load_floats(const GgufParts& parts, std::string_view name)
{
    const auto found = parts.tensors().find(name);
    if (found == parts.tensors().end()) {
        return {};
    }
    const GgufLocation& location = found->second;
    const at::Tensor values = quant::decode_gguf(
        *location.tensor->type, location.part->data(*location.tensor), location.tensor->shape);
    const float* begin = values.const_data_ptr<float>();
    return {begin, begin + values.numel()};
}

Json long_rope(const GgufParts& parts, const GgufKeys& keys)
{
    Json scaling;
    scaling["type"] = "longrope";
    scaling["long_factor"] = load_floats(parts, "rope_factors_long.weight");
    scaling["short_factor"] = load_floats(parts, "rope_factors_short.weight");
    const bool is_whole = !scaling["long_factor"].empty()
        && scaling["long_factor"].size() == scaling["short_factor"].size();
    if (!is_whole) {
        fail(ErrorCode::MissingTensor, "GGUF has only one of its two lists of rotary factors",
            {{"file", keys.metadata().file()},
                {"tensor", "rope_factors_long.weight, rope_factors_short.weight"}});
    }
    return scaling;
}

Json yarn(const GgufKeys& keys, double factor)
{
    Json scaling;
    scaling["rope_type"] = "yarn";
    scaling["factor"] = factor;
    const auto original = keys.integer("rope.scaling.original_context_length");
    if (!original) {
        keys.corrupt("rope.scaling.original_context_length", "absent", "a length, with yarn");
    }
    scaling["original_max_position_embeddings"] = *original;
    for (const auto& [field, key] : {std::pair{"beta_fast", "rope.scaling.yarn_beta_fast"},
             std::pair{"beta_slow", "rope.scaling.yarn_beta_slow"}}) {
        if (const auto value = keys.number(key)) {
            scaling[field] = *value;
        }
    }
    if (const auto own = keys.number("rope.scaling.attn_factor")) {
        // llama.cpp multiplies it with YaRN's own factor.
        scaling["attention_factor"] = *own * model::yarn_mscale(factor);
    }
    return scaling;
}

Json llama3(const GgufParts& parts, const GgufKeys& keys, double theta)
{
    const std::vector<float> values = load_floats(parts, "rope_freqs.weight");
    const Json scaling = llama3_scaling_from(values, theta);
    if (!scaling.is_null()) {
        return scaling;
    }
    fail(ErrorCode::UnsupportedModel, "rotary frequencies are not those of a known Llama 3 setting",
        {{"file", keys.metadata().file()}, {"tensor", "rope_freqs.weight"}},
        "Name the model's Hugging Face folder instead.");
}

Json read_scaling(const GgufParts& parts, const GgufKeys& keys, double theta)
{
    if (parts.find("rope_freqs.weight") != nullptr) {
        return llama3(parts, keys, theta);
    }
    if (parts.find("rope_factors_long.weight") != nullptr
        || parts.find("rope_factors_short.weight") != nullptr) {
        return long_rope(parts, keys);
    }
    const std::string type = keys.text("rope.scaling.type").value_or("none");
    if (type == "none") {
        return nullptr;
    }
    const double factor = keys.required_number("rope.scaling.factor");
    if (type == "linear") {
        Json scaling;
        scaling["rope_type"] = "linear";
        scaling["factor"] = factor;
        return scaling;
    }
    if (type == "yarn") {
        return yarn(keys, factor);
    }
    keys.unsupported("rope.scaling.type", printable(type), "none, linear, yarn");
}

} // namespace

int64_t GgufKeys::required(std::string_view key) const
{
    const std::optional<int64_t> value = integer(key);
    if (!value || *value <= 0 || *value > std::numeric_limits<int32_t>::max()) {
        corrupt(key, value ? concat(*value) : "absent", "1 to 2147483647");
    }
    return *value;
}

double GgufKeys::required_number(std::string_view key) const
{
    const std::optional<double> value = number(key);
    if (!value || !std::isfinite(*value) || *value <= 0) {
        corrupt(key, value ? concat(*value) : "absent", "a number above 0");
    }
    return *value;
}

void GgufKeys::corrupt(std::string_view key, std::string found, std::string allowed) const
{
    fail(ErrorCode::FileCorrupt, "GGUF metadata is missing or impossible",
        {{"file", metadata_.file()}, {"field", name(key)}, {"found", std::move(found)},
            {"allowed", std::move(allowed)}});
}

void GgufKeys::unsupported(std::string_view key, std::string found, std::string allowed) const
{
    fail(ErrorCode::UnsupportedModel, "GGUF model has a setting that is not computed",
        {{"file", metadata_.file()}, {"field", name(key)}, {"found", std::move(found)},
            {"allowed", std::move(allowed)}},
        "Name the model's Hugging Face folder instead.");
}

Json llama3_scaling_from(std::span<const float> values, double theta)
{
    if (values.empty()) {
        return nullptr;
    }
    constexpr double kLow = 1.0;
    constexpr double kHigh = 4.0;
    constexpr double kTolerance = 1e-3; // of values stored as fp32 and computed in it
    const double factor = static_cast<double>(*std::max_element(values.begin(), values.end()));
    const auto dims = static_cast<double>(2 * values.size());
    for (const int64_t original : {8192, 4096, 2048, 16384, 32768}) {
        bool fits = true;
        for (std::size_t i = 0; i < values.size() && fits; ++i) {
            const double wavelength =
                2 * std::numbers::pi * std::pow(theta, 2 * static_cast<double>(i) / dims);
            const double expected =
                llama3_divisor(wavelength, factor, kLow, kHigh, static_cast<double>(original));
            fits = std::abs(expected - static_cast<double>(values[i])) <= kTolerance * expected;
        }
        if (fits) {
            return Json{{"rope_type", "llama3"}, {"factor", factor}, {"low_freq_factor", kLow},
                {"high_freq_factor", kHigh}, {"original_max_position_embeddings", original}};
        }
    }
    return nullptr;
}

void add_gguf_rope(Json& config, const GgufParts& parts, const GgufKeys& keys)
{
    const double theta = keys.number("rope.freq_base").value_or(10000.0);
    if (!std::isfinite(theta) || theta <= 0) {
        keys.corrupt("rope.freq_base", concat(theta), "a number above 0");
    }
    config["rope_theta"] = theta;
    config["rope_scaling"] = read_scaling(parts, keys, theta);
    const int64_t head_dim = config["head_dim"].get<int64_t>();
    const int64_t rotary = keys.integer("rope.dimension_count").value_or(head_dim);
    if (rotary <= 0 || rotary > head_dim) {
        keys.corrupt("rope.dimension_count", concat(rotary), concat("1 to ", head_dim));
    }
    if (rotary != head_dim && !config.contains("partial_rotary_factor")) {
        keys.unsupported("rope.dimension_count", concat(rotary), concat(head_dim));
    }
}

} // namespace bitsmith::source
