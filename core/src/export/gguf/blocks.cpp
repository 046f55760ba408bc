// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/blocks.h"

#include "base/text.h"
#include "export/gguf/blocks_k.h"
#include "quant/affine.h"
#include "values/scheme_presets.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>

namespace bitsmith::exporting {

namespace {

using tensor::GgufType;

constexpr int64_t kBlock = 32;
constexpr int64_t kHalf = kBlock / 2;
constexpr int64_t kCenter8 = 128; ///< zero point of symmetric 8-bit codes
constexpr int64_t kRoundedAtOnce = int64_t{1} << 24; ///< values that are held in fp32

/// What an encoder of one block reads.
struct BlockInput
{
    const uint8_t* codes; ///< 32
    uint16_t scale; ///< fp16 bits
    uint16_t minimum; ///< fp16 bits, for types that have one
};

/// Byte j: element j in the low nibble, element j + 16 in the high one.
void put_nibbles(uint8_t* out, const uint8_t* codes)
{
    for (int64_t j = 0; j < kHalf; ++j) {
        out[j] = static_cast<uint8_t>(codes[j] | (codes[j + kHalf] << 4U));
    }
}

void encode_q4_0(const BlockInput& block, uint8_t* out)
{
    put_half(out, block.scale);
    put_nibbles(out + 2, block.codes);
}

void encode_q4_1(const BlockInput& block, uint8_t* out)
{
    put_half(out, block.scale);
    put_half(out + 2, block.minimum);
    put_nibbles(out + 4, block.codes);
}

/// Fifth bit of the codes, element j at bit j of a little-endian word.
void put_high_bits(uint8_t* out, const uint8_t* codes)
{
    uint32_t bits = 0;
    for (int64_t j = 0; j < kBlock; ++j) {
        bits |= static_cast<uint32_t>(codes[j] >> 4U) << static_cast<uint32_t>(j);
    }
    for (uint32_t i = 0; i < 4; ++i) {
        out[i] = static_cast<uint8_t>(bits >> (8 * i));
    }
}

void put_low_nibbles(uint8_t* out, const uint8_t* codes)
{
    for (int64_t j = 0; j < kHalf; ++j) {
        out[j] = static_cast<uint8_t>((codes[j] & 15U) | ((codes[j + kHalf] & 15U) << 4U));
    }
}

void encode_q5_0(const BlockInput& block, uint8_t* out)
{
    put_half(out, block.scale);
    put_high_bits(out + 2, block.codes);
    put_low_nibbles(out + 6, block.codes);
}

void encode_q5_1(const BlockInput& block, uint8_t* out)
{
    put_half(out, block.scale);
    put_half(out + 2, block.minimum);
    put_high_bits(out + 4, block.codes);
    put_low_nibbles(out + 8, block.codes);
}

void encode_q8_0(const BlockInput& block, uint8_t* out)
{
    put_half(out, block.scale);
    for (int64_t j = 0; j < kBlock; ++j) {
        out[2 + j] = static_cast<uint8_t>(block.codes[j] - kCenter8); // two's complement
    }
}

/// A type whose codes are those of an affine scheme, so that it holds them exactly.
struct AffineType
{
    GgufType type;
    int64_t bits;
    bool has_minimum; ///< DataType::IntFloatZero; otherwise symmetric DataType::Int
    void (*encode)(const BlockInput&, uint8_t*);
};
constexpr std::array kAffineTypes = {
    AffineType{GgufType::Q4_0, 4, false, encode_q4_0},
    AffineType{GgufType::Q4_1, 4, true, encode_q4_1},
    AffineType{GgufType::Q5_0, 5, false, encode_q5_0},
    AffineType{GgufType::Q5_1, 5, true, encode_q5_1},
    AffineType{GgufType::Q8_0, 8, false, encode_q8_0},
};

const AffineType& affine_type(GgufType type)
{
    std::vector<std::string> names;
    for (const AffineType& known : kAffineTypes) {
        if (known.type == type) {
            return known;
        }
        names.emplace_back(tensor::gguf_type(known.type).name);
    }
    fail(ErrorCode::UnsupportedScheme, "codes cannot be written in this GGUF type",
        {{"found", std::string(tensor::gguf_type(type).name)}, {"allowed", join(names, ", ")}});
}

/// [rows, groups] -> [rows, blocks]: a group of several blocks repeats its value, the last one may be
/// shorter.
at::Tensor per_block(const at::Tensor& values, const quant::QuantizedWeight& weight)
{
    const int64_t rows = weight.rows(), blocks = weight.columns() / kBlock;
    if (values.scalar_type() != at::kHalf || !at::isfinite(values).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "scales or minima are not finite 16-bit numbers", {},
            "Keep this layer at 16 bits.");
    }
    const at::Tensor table = values.to(at::kCPU).reshape({rows, -1});
    const int64_t repeat = quant::group_width(weight.scheme, weight.columns()) / kBlock;
    if (repeat < 1 || (blocks + repeat - 1) / repeat != table.size(1)) {
        fail(ErrorCode::ShapeMismatch, "groups do not fit GGUF blocks",
            {{"found", concat(table.size(1), " groups")}, {"allowed", concat(blocks, " blocks")}});
    }
    return table.repeat_interleave(repeat, 1).narrow(1, 0, blocks).contiguous();
}

const uint16_t* half_bits(const at::Tensor& values)
{
    return reinterpret_cast<const uint16_t*>(values.const_data_ptr<at::Half>());
}

void check_zero_points(const quant::QuantizedWeight& weight, const AffineType& type)
{
    const int64_t center = int64_t{1} << (type.bits - 1);
    if (weight.zeros.scalar_type() != at::kByte || !weight.zeros.eq(center).all().item<bool>()) {
        fail(ErrorCode::UnsupportedScheme, "this GGUF type has no zero points",
            {{"type", std::string(tensor::gguf_type(type.type).name)}});
    }
}

/// The scheme that is stored as `type`.
const Scheme& scheme_of(GgufType type)
{
    const GgufPreset* preset = find_gguf_preset(lower(tensor::gguf_type(type).name));
    BITSMITH_ASSERT(preset != nullptr && gguf_type_of(preset->scheme) == type);
    return preset->scheme;
}

at::Tensor bytes_of(const at::Tensor& values)
{
    return values.contiguous().view({-1}).view(at::kByte);
}

} // namespace

void put_half(uint8_t* out, uint16_t bits)
{
    out[0] = static_cast<uint8_t>(bits & 0xFFU);
    out[1] = static_cast<uint8_t>(bits >> 8U);
}

std::optional<GgufType> gguf_type_of(const Scheme& scheme)
{
    if (const auto type = gguf_super_type_of(scheme)) {
        return type;
    }
    const bool whole_blocks = scheme.group_size == kGroupPerRow
        || (scheme.group_size > 0 && scheme.group_size % kBlock == 0);
    if (!scheme.is_quantized() || scheme.act_bits < 16 || !whole_blocks) {
        return std::nullopt;
    }
    for (const AffineType& type : kAffineTypes) {
        const bool same_kind = type.has_minimum ? scheme.data_type == DataType::IntFloatZero
                                                : scheme.data_type == DataType::Int && scheme.sym;
        if (same_kind && scheme.bits == type.bits) {
            return type.type;
        }
    }
    return std::nullopt;
}

at::Tensor encode_gguf_layer(const quant::QuantizedWeight& weight, GgufType type)
{
    if (weight.scheme.data_type == DataType::IntDouble) {
        return encode_gguf_super_blocks(weight, type);
    }
    const AffineType& affine = affine_type(type);
    const int64_t rows = weight.rows(), columns = weight.columns();
    if (columns % kBlock != 0) {
        fail(ErrorCode::ShapeMismatch, "rows do not hold whole GGUF blocks",
            {{"found", std::to_string(columns)}, {"allowed", "multiples of 32"}});
    }
    const int64_t blocks = columns / kBlock;
    if (!affine.has_minimum) {
        check_zero_points(weight, affine);
    }
    const at::Tensor codes = weight.codes.to(at::kCPU).contiguous();
    const at::Tensor scales = per_block(weight.scales, weight);
    const at::Tensor minima = affine.has_minimum ? per_block(weight.zeros, weight) : scales;
    const int64_t block_bytes = tensor::gguf_type(type).bytes;
    at::Tensor out = at::empty({rows, blocks * block_bytes}, at::kByte);
    const uint8_t* code = codes.const_data_ptr<uint8_t>();
    const uint16_t* scale = half_bits(scales);
    const uint16_t* minimum = half_bits(minima);
    auto* bytes = out.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, rows * blocks, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
            affine.encode({code + b * kBlock, scale[b], minimum[b]}, bytes + b * block_bytes);
        }
    });
    return out;
}

at::Tensor encode_gguf_plain(const at::Tensor& values, GgufType type)
{
    const at::Tensor source = values.to(at::kCPU).contiguous();
    switch (type) {
    case GgufType::F32:
        return bytes_of(source.to(at::kFloat));
    case GgufType::BF16:
        return bytes_of(source.to(at::kBFloat16));
    case GgufType::F16: {
        const at::Tensor half = source.to(at::kHalf);
        if (!at::isfinite(half).all().item<bool>()) {
            fail(ErrorCode::NumericFailure, "a value exceeds the range of 16-bit numbers", {},
                "Write the file with bf16 instead (scheme gguf:bf16).");
        }
        return bytes_of(half);
    }
    default:
        fail(ErrorCode::Internal, "plain tensors are not written in this GGUF type");
    }
}

at::Tensor round_to_gguf(const at::Tensor& values, GgufType type, bool search)
{
    const Scheme& scheme = scheme_of(type);
    const quant::Codec& codec = quant::codec_for(scheme);
    const int64_t rows = values.size(0);
    const int64_t step = std::max<int64_t>(kRoundedAtOnce / values.size(1), 1);
    std::vector<at::Tensor> parts;
    for (int64_t row = 0; row < rows; row += step) {
        const at::Tensor part =
            values.narrow(0, row, std::min(step, rows - row)).to(at::kCPU, at::kFloat);
        quant::check_weight(part, scheme, {});
        quant::TunedValues start;
        if (search) {
            start.range = codec.search(part, scheme, {}, {});
        }
        parts.push_back(encode_gguf_layer(codec.encode(part, scheme, start), type));
    }
    return at::cat(parts);
}

} // namespace bitsmith::exporting
