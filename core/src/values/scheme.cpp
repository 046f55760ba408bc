// SPDX-License-Identifier: GPL-3.0-or-later
// Names of schemes. A name is one of
//
//     W{bits}A16[G{group}][_ASYM]   integer weights; group 128 when not named, -1: one per row
//     gguf:{type}                   a GGUF tensor type of the table below
//     BF16 (or keep)                not quantized
//     field=value,field=value...    whatever has no name
#include "base/text.h"
#include "values/fields_text.h"

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
constexpr int64_t kScaleBits = 16;

/// A GGUF tensor type. Source: formats.md 6 (bytes per block), algorithm.md 3.3 (fields).
struct GgufType
{
    std::string_view name;
    std::string_view title;
    int64_t bits;
    bool sym;
    DataType data_type;
    double bits_per_weight; ///< bytes per GGUF block * 8 / weights per block
};
constexpr std::array kGgufTypes = {
    GgufType{"q4_0", "4 bits, 32 weights per scale", 4, true, DataType::Int, 4.5},
    GgufType{
        "q4_1", "4 bits, scale and minimum per 32 weights", 4, false, DataType::IntFloatZero, 5.0},
    GgufType{"q5_0", "5 bits, 32 weights per scale", 5, true, DataType::Int, 5.5},
    GgufType{
        "q5_1", "5 bits, scale and minimum per 32 weights", 5, false, DataType::IntFloatZero, 6.0},
    GgufType{"q8_0", "8 bits, 32 weights per scale", 8, true, DataType::Int, 8.5},
    GgufType{"bf16", "not quantized, bfloat16", 16, true, DataType::Float, 16},
    GgufType{"f16", "not quantized, half precision", 16, true, DataType::Float, 16},
};
constexpr std::string_view kGgufPrefix = "gguf:";
constexpr int64_t kGgufGroup = 32;

/// Bits and groups of the integer schemes that are offered.
constexpr std::array<int64_t, 4> kOfferedBits = {2, 3, 4, 8};
constexpr std::array<int64_t, 3> kOfferedGroups = {128, 64, 32};
constexpr int64_t kMinIntBits = 2, kMaxIntBits = 8;

constexpr std::array<std::string_view, 5> kKeepWords = {"bf16", "keep", "f16", "fp16", "float"};

Scheme int_scheme(int64_t bits, int64_t group_size, bool sym)
{
    Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = group_size;
    scheme.sym = sym;
    return scheme;
}

Scheme gguf_scheme(const GgufType& type)
{
    Scheme scheme = type.bits < 16 ? int_scheme(type.bits, kGgufGroup, type.sym) : keep_scheme();
    scheme.data_type = type.data_type;
    scheme.gguf_type = type.name;
    return scheme;
}

const GgufType* gguf_type(std::string_view name)
{
    const auto* found = std::find_if(kGgufTypes.begin(), kGgufTypes.end(),
        [name](const GgufType& type) { return type.name == name; });
    return found == kGgufTypes.end() ? nullptr : found;
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

/// w4, w4a16, w4g64, w4a16g64_asym; `text` in lower case.
std::optional<Scheme> parse_int_name(std::string_view text)
{
    if (!take(text, "w")) {
        return std::nullopt;
    }
    const auto bits = take_number(text);
    if (!bits || *bits < kMinIntBits || *bits > kMaxIntBits) {
        return std::nullopt;
    }
    if (take(text, "a") && !take(text, "16")) {
        return std::nullopt; // quantized activations have no codec yet
    }
    std::optional<int64_t> group = kDefaultGroup;
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
    return text.empty() ? std::optional(int_scheme(*bits, *group, sym)) : std::nullopt;
}

std::optional<Scheme> parse_name(std::string_view text)
{
    if (std::find(kKeepWords.begin(), kKeepWords.end(), text) != kKeepWords.end()) {
        return keep_scheme();
    }
    if (take(text, kGgufPrefix)) {
        const GgufType* type = gguf_type(text == "fp16" ? "f16" : text);
        return type != nullptr ? std::optional(gguf_scheme(*type)) : std::nullopt;
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
    std::string name = "W" + std::to_string(scheme.bits) + "A16";
    if (scheme.group_size != kDefaultGroup) {
        name += "G" + std::to_string(scheme.group_size);
    }
    return name + (scheme.sym ? "" : "_ASYM");
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
    catalog.push_back({"BF16", "floating", "not quantized", keep_scheme()});
    for (const GgufType& type : kGgufTypes) {
        catalog.push_back({std::string(kGgufPrefix) + std::string(type.name), "gguf",
            std::string(type.title), gguf_scheme(type)});
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
    std::string near =
        gguf_type(name) != nullptr ? std::string(kGgufPrefix) + name : nearest(name, known_names());
    fail(ErrorCode::InvalidSpec, "unknown scheme", {{"scheme", std::string(text)}},
        near.empty() ? "The known names are listed by 'list schemes'"
                     : "Did you mean " + near + "? All names: 'list schemes'");
}

std::string scheme_name(const Scheme& scheme)
{
    std::string name;
    if (!scheme.gguf_type.empty()) {
        name = std::string(kGgufPrefix) + scheme.gguf_type;
    } else if (!scheme.is_quantized()) {
        name = "BF16";
    } else {
        name = int_name(scheme);
    }
    const auto parsed = parse_name(lower(name));
    return parsed == scheme ? name : field_list(scheme);
}

double effective_bits(const Scheme& scheme, int64_t columns)
{
    if (!scheme.is_quantized()) {
        return static_cast<double>(scheme.bits);
    }
    if (const GgufType* type = gguf_type(scheme.gguf_type)) {
        return type->bits_per_weight;
    }
    const auto bits = static_cast<double>(scheme.bits);
    if (scheme.group_size == kGroupPerTensor || columns <= 0) {
        return bits;
    }
    const int64_t width = scheme.group_size == kGroupPerRow ? columns : scheme.group_size;
    const int64_t groups = (columns + width - 1) / width;
    // Packed integer layouts store a zero point for symmetric weights too (formats.md 2.3).
    const bool integer = scheme.data_type == DataType::Int;
    const bool small_scale = scheme.data_type == DataType::MxFp
        || scheme.data_type == DataType::NvFp || scheme.data_type == DataType::MxInt;
    const int64_t per_group = (small_scale ? 8 : kScaleBits)
        + (integer                                           ? scheme.bits
                : scheme.data_type == DataType::IntFloatZero ? kScaleBits
                                                             : 0);
    return bits + static_cast<double>(groups * per_group) / static_cast<double>(columns);
}

const std::vector<SchemeInfo>& scheme_catalog()
{
    static const std::vector<SchemeInfo> catalog = build_catalog();
    return catalog;
}

} // namespace bitsmith
