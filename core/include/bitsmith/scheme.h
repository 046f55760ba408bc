// SPDX-License-Identifier: GPL-3.0-or-later
// The number format of a layer, and the short names of the usual ones.
#pragma once

#include <bitsmith/fields.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bitsmith {

/// How codes are interpreted.
enum class DataType
{
    Float, ///< not quantized: 16 or 32 bit floating point
    Int, ///< integer codes, scale per group, integer zero point
    IntFloatZero, ///< integer codes, scale and floating point minimum per group (GGUF Q4_1, Q5_1)
    IntDouble, ///< integer codes with quantized scales and minima per super-block (GGUF K types)
    MxFp, ///< floating point codes, power-of-two scale per group (OCP MX); exponent rounded down
    MxFpRceil, ///< the same with the exponent rounded up, so that no value is clipped
    MxInt, ///< fixed-point codes, power-of-two scale per group
    NvFp, ///< E2M1 codes, E4M3 scale per group, one fp32 scale per tensor
    NvFpE5m3, ///< E2M1 codes, UE5M3 scale per group, none per tensor
    Fp8, ///< E4M3 codes, fp32 scale per row, tensor, group or tile
    Fp8E5m2, ///< E5M2 codes, the same scales
};
template <>
struct EnumNames<DataType>
{
    static constexpr std::array<std::string_view, 11> names = {"float", "int", "int_float_zero",
        "int_double", "mx_fp", "mx_fp_rceil", "mx_int", "nv_fp", "nv_fp_e5m3", "fp8", "fp8_e5m2"};
};

/// Numbers in which a runtime keeps keys and values.
enum class CacheType
{
    None, ///< those of the model
    Fp8, ///< E4M3, one calibrated scale for the keys of a block and one for its values
};
template <>
struct EnumNames<CacheType>
{
    static constexpr std::array<std::string_view, 2> names = {"none", "fp8"};
};

/// group_size values with a meaning of their own.
inline constexpr int64_t kGroupPerRow = -1;
inline constexpr int64_t kGroupPerTensor = 0;

/// The number format of one layer: its weights, and its input activations when act_bits < 16.
/// Source: algorithm.md 3.1 (fields and defaults of the reference).
struct Scheme
{
    int64_t bits = 4;
    int64_t group_size =
        128; ///< consecutive input columns per scale; -1 one group per row; 0 one per tensor
    int64_t group_rows = 1; ///< rows that share these scales; above 1: tiles
    bool sym = true;
    DataType data_type = DataType::Int;
    int64_t act_bits = 16;
    int64_t act_group_size = 128;
    bool act_sym = true;
    DataType act_data_type = DataType::Float;
    bool act_dynamic = true;
    int64_t super_bits = 0;
    int64_t super_group_size = 0;
    /// GGUF tensor type when the scheme is one ("q4_0"); empty otherwise. It decides bytes, not
    /// arithmetic.
    std::string gguf_type;
    /// Preset whose layers get different bits ("w4a16_mixed"); the layers of a plan have none.
    std::string mix;

    bool is_quantized() const { return bits < 16; }
    bool quantizes_activations() const { return act_bits < 16; }
    /// Whether the largest activation has to be known beforehand: static scales, and the scale per
    /// tensor of NvFp.
    bool needs_input_max() const
    {
        return quantizes_activations() && (!act_dynamic || act_data_type == DataType::NvFp);
    }
    bool operator==(const Scheme&) const = default;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, Scheme>
void visit_fields(Visitor& v, Self& s)
{
    v("bits", s.bits, range(1, 32, "bits"), "bits per weight code; 16 keeps the layer");
    v("group_size", s.group_size, range(-1, 65536, "columns"),
        "input columns that share a scale; -1: one group per row, 0: one per tensor");
    v("group_rows", s.group_rows, range(1, 65536, "rows"), "rows that share the scales of a tile");
    v("sym", s.sym, any_value(), "symmetric codes around zero instead of scale and zero point");
    v("data_type", s.data_type, any_value(), "how weight codes are interpreted");
    v("act_bits", s.act_bits, range(1, 32, "bits"), "bits per activation; 16 keeps activations");
    v("act_group_size", s.act_group_size, range(-1, 65536, "columns"),
        "columns per activation scale");
    v("act_sym", s.act_sym, any_value(), "symmetric activations");
    v("act_data_type", s.act_data_type, any_value(), "how activation codes are interpreted");
    v("act_dynamic", s.act_dynamic, any_value(), "activation scales computed at run time");
    v("super_bits", s.super_bits, range(0, 16, "bits"), "bits of the quantized scales of K types");
    v("super_group_size", s.super_group_size, range(0, 256, "groups"), "groups per super-block");
    v("gguf_type", s.gguf_type, any_value(), "GGUF tensor type, empty for other formats");
    v("mix", s.mix, any_value(), "preset that gives layers different bits, empty for others");
}

/// A scheme that keeps the layer as it is.
Scheme keep_scheme();

/// The format of a layer's activations as a scheme of its own: groups of consecutive features of a
/// token. Only for schemes that quantize them.
Scheme activation_scheme(const Scheme& scheme);

/// `scheme` with the activations of `other`.
Scheme with_activations_of(Scheme scheme, const Scheme& other);

/// Parses a scheme name ("W4A16", "w4g64", "W4A16G32_ASYM", "MXFP4", "NVFP4", "gguf:q4_0", "BF16").
/// Throws InvalidSpec with the text and the nearest known name.
Scheme parse_scheme(std::string_view text);

/// Shortest name that parse_scheme maps back to exactly this scheme; a field list for schemes
/// without a name.
std::string scheme_name(const Scheme& scheme);

/// Bits per weight including scales and zero points, for a layer of `columns` input columns.
double effective_bits(const Scheme& scheme, int64_t columns);

} // namespace bitsmith
