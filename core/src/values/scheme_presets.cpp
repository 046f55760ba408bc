// SPDX-License-Identifier: GPL-3.0-or-later
#include "values/scheme_presets.h"

#include "base/text.h"

#include <algorithm>
#include <vector>

namespace bitsmith {

namespace {

/// Weights and, unless it is Float, activations of the same bits.
struct Numbers
{
    int64_t bits;
    int64_t group;
    DataType type;
    DataType act_type = DataType::Float;
    int64_t act_group = 0;
    bool act_dynamic = true;
    int64_t group_rows = 1;
};

Scheme scheme_of(const Numbers& n)
{
    Scheme scheme;
    scheme.bits = n.bits;
    scheme.group_size = n.group;
    scheme.data_type = n.type;
    scheme.group_rows = n.group_rows;
    if (n.act_type != DataType::Float) {
        scheme.act_bits = n.bits;
        scheme.act_group_size = n.act_group;
        scheme.act_data_type = n.act_type;
        scheme.act_dynamic = n.act_dynamic;
    }
    return scheme;
}

std::vector<SchemePreset> make_presets()
{
    using D = DataType;
    const auto preset = [](std::string_view name, std::string_view title, const Numbers& numbers) {
        return SchemePreset{name, title, scheme_of(numbers)};
    };
    return {
        preset("MXFP4", "E2M1 weights and activations, power-of-two scale per 32",
            {4, 32, D::MxFp, D::MxFp, 32}),
        preset("MXFP6", "E2M3 weights and activations, power-of-two scale per 32",
            {6, 32, D::MxFp, D::MxFp, 32}),
        preset("MXFP8", "E4M3 weights and activations, power-of-two scale per 32",
            {8, 32, D::MxFp, D::MxFp, 32}),
        preset("MXFP4_RCEIL", "MXFP4, scales of activations rounded up",
            {4, 32, D::MxFp, D::MxFpRceil, 32}),
        preset("MXFP8_RCEIL", "MXFP8, scales of activations rounded up",
            {8, 32, D::MxFp, D::MxFpRceil, 32}),
        preset("MXFP4A16", "MXFP4 weights, activations as they are", {4, 32, D::MxFp}),
        preset("MXFP8A16", "MXFP8 weights, activations as they are", {8, 32, D::MxFp}),
        preset("MXINT4", "4-bit fixed point weights and activations, power-of-two scale per 32",
            {4, 32, D::MxInt, D::MxInt, 32}),
        preset("NVFP4", "E2M1 weights and activations, E4M3 scale per 16",
            {4, 16, D::NvFp, D::NvFp, 16}),
        preset("NVFP4A16", "NVFP4 weights, activations as they are", {4, 16, D::NvFp}),
        preset("NVFP4_E5M3", "E2M1 weights and activations, UE5M3 scale per 16",
            {4, 16, D::NvFpE5m3, D::NvFpE5m3, 16}),
        preset("FPW8A16", "E4M3 weights, one scale per tensor", {8, kGroupPerTensor, D::Fp8}),
        preset("FP8_STATIC", "E4M3 weights per row, activations per tensor with calibrated scale",
            {8, kGroupPerRow, D::Fp8, D::Fp8, kGroupPerTensor, false}),
        preset("FP8_DYNAMIC", "E4M3 weights per row, activations per token",
            {8, kGroupPerRow, D::Fp8, D::Fp8, kGroupPerRow}),
        preset("FP8_BLOCK", "E4M3 weights in tiles of 128 x 128, activations in groups of 128",
            {8, 128, D::Fp8, D::Fp8, 128, true, 128}),
    };
}

BitsMix make_bits_mix(std::string_view name, std::string_view title, int64_t other_bits)
{
    BitsMix mix{name, title, other_bits, {}};
    mix.scheme.mix = lower(name);
    return mix;
}

Scheme gguf_scheme(std::string_view name, int64_t bits, bool sym, DataType type, int64_t group = 32,
    int64_t super_bits = 0, int64_t super_group = 0)
{
    Scheme scheme = bits < 16 ? Scheme() : keep_scheme();
    scheme.bits = bits;
    scheme.sym = sym;
    scheme.data_type = type;
    scheme.gguf_type = name;
    if (bits < 16) {
        scheme.group_size = group;
        scheme.super_bits = super_bits;
        scheme.super_group_size = super_group;
    }
    return scheme;
}

struct GgufMix
{
    std::string_view name, base, title;
};

/// What each of them does with a model: plan/gguf_mix.cpp.
constexpr GgufMix kGgufMixes[] = {
    {"q2_k_s", "q2_k", "2 bits, few layers 4: smallest file"},
    {"q2_k_mixed", "q2_k", "experts 2 bits, other layers 4: for mixtures of experts"},
    {"q3_k_s", "q3_k", "3 bits: small file"},
    {"q3_k_m", "q3_k", "3 bits, some layers 4 or 5"},
    {"q3_k_l", "q3_k", "3 bits, some layers 5"},
    {"q4_k_s", "q4_k", "4 bits, few layers 5"},
    {"q4_k_m", "q4_k", "4 bits, some layers 6: usual choice"},
    {"q5_k_s", "q5_k", "5 bits"},
    {"q5_k_m", "q5_k", "5 bits, some layers 6: near the original"},
};

std::vector<GgufPreset> make_gguf_types()
{
    using D = DataType;
    const auto preset = [](std::string_view name, std::string_view title, double bits,
                            const auto&... fields) {
        return GgufPreset{name, title, bits, gguf_scheme(name, fields...)};
    };
    return {
        preset("q2_k", "2 bits, 4-bit scale and minimum per 16 weights", 2.625, 2, false,
            D::IntDouble, 16, 4, 16),
        preset(
            "q3_k", "3 bits, 6-bit scale per 16 weights", 3.4375, 3, true, D::IntDouble, 16, 6, 16),
        preset("q4_0", "4 bits, 32 weights per scale", 4.5, 4, true, D::Int),
        preset("q4_1", "4 bits, scale and minimum per 32 weights", 5.0, 4, false, D::IntFloatZero),
        preset("q4_k", "4 bits, 6-bit scale and minimum per 32 weights", 4.5, 4, false,
            D::IntDouble, 32, 6, 8),
        preset("q5_0", "5 bits, 32 weights per scale", 5.5, 5, true, D::Int),
        preset("q5_1", "5 bits, scale and minimum per 32 weights", 6.0, 5, false, D::IntFloatZero),
        preset("q5_k", "5 bits, 6-bit scale and minimum per 32 weights", 5.5, 5, false,
            D::IntDouble, 32, 6, 8),
        preset(
            "q6_k", "6 bits, 8-bit scale per 16 weights", 6.5625, 6, true, D::IntDouble, 16, 8, 16),
        preset("q8_0", "8 bits, 32 weights per scale", 8.5, 8, true, D::Int),
        preset("bf16", "not quantized, bfloat16", 16, 16, true, D::Float),
        preset("f16", "not quantized, half precision", 16, 16, true, D::Float),
    };
}

std::vector<GgufPreset> make_gguf_presets()
{
    const std::vector<GgufPreset> types = make_gguf_types();
    std::vector<GgufPreset> presets = types;
    for (const GgufMix& mix : kGgufMixes) {
        GgufPreset preset = *std::find_if(types.begin(), types.end(),
            [&mix](const GgufPreset& type) { return type.name == mix.base; });
        preset.name = mix.name;
        preset.title = mix.title;
        preset.base = mix.base;
        preset.scheme.gguf_type = mix.name;
        presets.push_back(std::move(preset));
    }
    return presets;
}

} // namespace

std::span<const SchemePreset> scheme_presets()
{
    static const std::vector<SchemePreset> presets = make_presets();
    return presets;
}

std::span<const BitsMix> bits_mixes()
{
    static const std::vector<BitsMix> mixes = {make_bits_mix(
        "W4A16_MIXED", "routed experts 4 bits, other layers 8: for mixtures of experts", 8)};
    return mixes;
}

const BitsMix* find_bits_mix(const Scheme& scheme)
{
    const auto mixes = bits_mixes();
    const auto found = std::find_if(mixes.begin(), mixes.end(),
        [&scheme](const BitsMix& mix) { return mix.scheme.mix == scheme.mix; });
    return found == mixes.end() ? nullptr : &*found;
}

std::span<const GgufPreset> gguf_presets()
{
    static const std::vector<GgufPreset> presets = make_gguf_presets();
    return presets;
}

const GgufPreset* find_gguf_preset(std::string_view name)
{
    const std::string_view wanted = name == "q6_k_s" ? "q6_k" : name;
    const auto presets = gguf_presets();
    const auto found = std::find_if(presets.begin(), presets.end(),
        [wanted](const GgufPreset& preset) { return preset.name == wanted; });
    return found == presets.end() ? nullptr : &*found;
}

bool is_gguf_mix(const Scheme& scheme)
{
    const GgufPreset* preset = find_gguf_preset(scheme.gguf_type);
    return preset != nullptr && !preset->base.empty() && preset->scheme == scheme;
}

} // namespace bitsmith
