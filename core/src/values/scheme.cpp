// SPDX-License-Identifier: GPL-3.0-or-later
// Names of schemes. A name is one of
//
//     W{bits}A{bits}[G{group}][_ASYM]   integer weights; activations of 4 or 8 bits or as they are (16).
//                                       Group 128 when not named, one per row with quantized activations
//     MXFP4, NVFP4, FP8_STATIC ...      the presets of scheme_presets.h; INT8 and INT4 are W8A8 and W4A4
//     W4A16_MIXED                       integer weights whose bits depend on the layer
//     gguf:{type}                       a GGUF tensor type
//     BF16 (or keep)                    not quantized
//     field=value,field=value...        whatever has no name
#include "base/text.h"
#include "values/fields_text.h"
#include "values/scheme_presets.h"

#include <bitsmith/catalog.h>
#include <bitsmith/error.h>
#include <bitsmith/scheme.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace bitsmith {

namespace {

constexpr int64_t kDefaultGroup = 128;

constexpr std::string_view kGgufPrefix = "gguf:";

/// Bits and groups of the integer schemes that are offered.
constexpr std::array<int64_t, 6> kOfferedBits = {2, 3, 4, 5, 6, 8};
constexpr std::array<int64_t, 3> kOfferedGroups = {128, 64, 32};
constexpr std::array<int64_t, 3> kActBits = {4, 8, 16};
constexpr int64_t kMinIntBits = 2, kMaxIntBits = 8;

/// Names of the reference.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kOtherNames = {
    {{"int8", "w8a8"}, {"int8_w8a8", "w8a8"}, {"int4", "w4a4"}}};

constexpr std::array<std::string_view, 5> kKeepWords = {"bf16", "keep", "f16", "fp16", "float"};

int64_t default_group(int64_t act_bits)
{
    return act_bits < 16 ? kGroupPerRow : kDefaultGroup;
}

Scheme int_scheme(int64_t bits, int64_t group_size, bool sym, int64_t act_bits = 16)
{
    Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = group_size;
    scheme.sym = sym;
    if (act_bits < 16) {
        scheme.act_bits = act_bits;
        scheme.act_data_type = DataType::Int;
        scheme.act_group_size = kGroupPerRow;
    }
    return scheme;
}

std::optional<int64_t> take_number(std::string_view& text)
{
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

bool take(std::string_view& text, std::string_view prefix)
{
    const bool found = text.substr(0, prefix.size()) == prefix;
    text.remove_prefix(found ? prefix.size() : 0);
    return found;
}

/// w4, w4a16, w4g64, w8a8, w4a16g64_asym; `text` in lower case.
std::optional<Scheme> parse_int_name(std::string_view text)
{
    if (!take(text, "w")) {
        return std::nullopt;
    }
    const auto bits = take_number(text);
    if (!bits || *bits < kMinIntBits || *bits > kMaxIntBits) {
        return std::nullopt;
    }
    int64_t act_bits = 16;
    if (take(text, "a")) {
        act_bits = take_number(text).value_or(0);
        if (std::find(kActBits.begin(), kActBits.end(), act_bits) == kActBits.end()) {
            return std::nullopt;
        }
    }
    std::optional<int64_t> group = default_group(act_bits);
    if (take(text, "g")) {
        group = take_number(text);
        if (!group || *group < kGroupPerRow || *group > 65536) {
            return std::nullopt;
        }
    }
    const bool sym = !take(text, "_asym");
    if (sym) {
        take(text, "_sym");
    }
    return text.empty() ? std::optional(int_scheme(*bits, *group, sym, act_bits)) : std::nullopt;
}

std::optional<Scheme> parse_name(std::string_view text)
{
    if (std::find(kKeepWords.begin(), kKeepWords.end(), text) != kKeepWords.end()) {
        return keep_scheme();
    }
    if (take(text, kGgufPrefix)) {
        const GgufPreset* type = find_gguf_preset(text == "fp16" ? "f16" : text);
        return type != nullptr ? std::optional(type->scheme) : std::nullopt;
    }
    for (const SchemePreset& preset : scheme_presets()) {
        if (lower(preset.name) == text) {
            return preset.scheme;
        }
    }
    for (const BitsMix& mix : bits_mixes()) {
        if (mix.scheme.mix == text) {
            return mix.scheme;
        }
    }
    for (const auto& [other, name] : kOtherNames) {
        if (other == text) {
            return parse_int_name(name);
        }
    }
    return parse_int_name(text);
}

/// "bits=4,group_size=16,data_type=mx_fp": fields that differ from a default Scheme.
Scheme parse_field_list(std::string_view text)
{
    Scheme scheme;
    for (const std::string& part : split(text, ',')) {
        const std::size_t equals = part.find('=');
        if (equals == std::string::npos) {
            fail(ErrorCode::InvalidSpec, "not a scheme field",
                {{"scheme", std::string(text)}, {"found", part}, {"allowed", "field=value"}});
        }
        set_field_text(scheme, part.substr(0, equals), part.substr(equals + 1));
    }
    if (!scheme.mix.empty() && find_bits_mix(scheme) == nullptr) {
        fail(ErrorCode::InvalidSpec, "unknown mix",
            {{"scheme", std::string(text)}, {"found", scheme.mix}},
            "The known names are listed by 'list schemes'");
    }
    return scheme;
}

std::string field_list(const Scheme& scheme)
{
    std::string text = "bits=" + std::to_string(scheme.bits);
    for (const auto& [field, value] : changed_fields(scheme, Scheme{})) {
        if (field != "bits") {
            text.append(",").append(field).append("=").append(value);
        }
    }
    return text;
}

std::string int_name(const Scheme& scheme)
{
    std::string name = concat("W", scheme.bits, "A", scheme.act_bits);
    if (scheme.group_size != default_group(scheme.act_bits)) {
        name += "G" + std::to_string(scheme.group_size);
    }
    return name + (scheme.sym ? "" : "_ASYM");
}

/// Of what is stored for a group besides its codes.
int64_t bits_per_group(const Scheme& scheme)
{
    switch (scheme.data_type) {
    case DataType::Int:
        return 16 + scheme.bits; // packed layouts store a zero point also for symmetric weights
    case DataType::IntFloatZero:
        return 32;
    case DataType::IntDouble:
        return scheme.super_bits * (scheme.sym ? 1 : 2);
    case DataType::Fp8:
    case DataType::Fp8E5m2:
        return 32;
    default:
        return 8;
    }
}

std::vector<std::string> known_names()
{
    std::vector<std::string> names;
    for (const SchemeInfo& info : scheme_catalog()) {
        names.push_back(info.name);
    }
    return names;
}

std::vector<SchemeInfo> build_catalog()
{
    std::vector<SchemeInfo> catalog;
    for (const bool sym : {true, false}) {
        for (const int64_t bits : kOfferedBits) {
            for (const int64_t group : kOfferedGroups) {
                const Scheme scheme = int_scheme(bits, group, sym);
                catalog.push_back({scheme_name(scheme), "integer",
                    concat(bits, " bits, ", group, " columns per scale, ",
                        sym ? "symmetric" : "with zero point"),
                    scheme});
            }
        }
    }
    for (const int64_t bits : {8, 4}) {
        const Scheme scheme = int_scheme(bits, kGroupPerRow, true, bits);
        catalog.push_back({scheme_name(scheme), "integer",
            concat(bits, " bits, one scale per row; activations of ", bits,
                " bits, one scale per token"),
            scheme});
    }
    for (const BitsMix& mix : bits_mixes()) {
        catalog.push_back({std::string(mix.name), "integer", std::string(mix.title), mix.scheme});
    }
    for (const SchemePreset& preset : scheme_presets()) {
        catalog.push_back(
            {std::string(preset.name), "floating", std::string(preset.title), preset.scheme});
    }
    catalog.push_back({"BF16", "floating", "not quantized", keep_scheme()});
    for (const GgufPreset& type : gguf_presets()) {
        catalog.push_back(
            {concat(kGgufPrefix, type.name), "gguf", std::string(type.title), type.scheme});
    }
    return catalog;
}

} // namespace

Scheme keep_scheme()
{
    Scheme scheme;
    scheme.bits = 16;
    scheme.data_type = DataType::Float;
    return scheme;
}

Scheme parse_scheme(std::string_view text)
{
    const std::vector<std::string> words = split(text, '\0');
    const std::string name = words.size() == 1 ? lower(words.front()) : std::string();
    if (const auto scheme = parse_name(name)) {
        return *scheme;
    }
    if (name.find('=') != std::string::npos) {
        return parse_field_list(name);
    }
    std::string near = find_gguf_preset(name) != nullptr ? std::string(kGgufPrefix) + name
                                                         : nearest(name, known_names());
    fail(ErrorCode::InvalidSpec, "unknown scheme", {{"scheme", std::string(text)}},
        near.empty() ? "The known names are listed by 'list schemes'"
                     : "Did you mean " + near + "? All names: 'list schemes'");
}

Scheme activation_scheme(const Scheme& scheme)
{
    Scheme activations;
    activations.bits = scheme.act_bits;
    activations.group_size = scheme.act_group_size;
    activations.sym = scheme.act_sym;
    activations.data_type = scheme.act_data_type;
    return activations;
}

Scheme with_activations_of(Scheme scheme, const Scheme& other)
{
    scheme.act_bits = other.act_bits;
    scheme.act_group_size = other.act_group_size;
    scheme.act_sym = other.act_sym;
    scheme.act_data_type = other.act_data_type;
    scheme.act_dynamic = other.act_dynamic;
    return scheme;
}

std::string scheme_name(const Scheme& scheme)
{
    if (!scheme.gguf_type.empty()) {
        const GgufPreset* type = find_gguf_preset(scheme.gguf_type);
        return type != nullptr && type->scheme == scheme ? concat(kGgufPrefix, scheme.gguf_type)
                                                         : field_list(scheme);
    }
    for (const SchemePreset& preset : scheme_presets()) {
        if (preset.scheme == scheme) {
            return std::string(preset.name);
        }
    }
    if (const BitsMix* mix = find_bits_mix(scheme)) {
        return mix->scheme == scheme ? std::string(mix->name) : field_list(scheme);
    }
    const std::string name = scheme.is_quantized() ? int_name(scheme) : "BF16";
    return parse_name(lower(name)) == scheme ? name : field_list(scheme);
}

double effective_bits(const Scheme& scheme, int64_t columns)
{
    if (!scheme.is_quantized()) {
        return static_cast<double>(scheme.bits);
    }
    if (const GgufPreset* type = find_gguf_preset(scheme.gguf_type)) {
        return type->bits_per_weight;
    }
    const auto bits = static_cast<double>(scheme.bits);
    if (scheme.group_size == kGroupPerTensor || columns <= 0) {
        return bits;
    }
    const int64_t width = scheme.group_size == kGroupPerRow ? columns : scheme.group_size;
    const int64_t groups = (columns + width - 1) / width;
    return bits
        + static_cast<double>(groups * bits_per_group(scheme))
        / static_cast<double>(columns * scheme.group_rows);
}

const std::vector<SchemeInfo>& scheme_catalog()
{
    static const std::vector<SchemeInfo> catalog = build_catalog();
    return catalog;
}

} // namespace bitsmith
