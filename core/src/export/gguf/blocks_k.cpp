// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/blocks_k.h"

#include "base/text.h"
#include "export/gguf/blocks.h"
#include "quant/double_codec.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <array>

namespace bitsmith::exporting {

namespace {

using tensor::GgufType;

constexpr int64_t kSuper = 256;

/// What an encoder of one block reads.
struct SuperInput
{
    const uint8_t* codes; ///< 256
    const int8_t* scales; ///< 16 or 8
    const uint8_t* minima; ///< as many, for types that have them
    uint16_t d; ///< fp16 bits
    uint16_t d_min; ///< fp16 bits, for types that have one
};

/// Bits [first, first + width) of every code. `run` consecutive codes go to the lowest bits of as
/// many bytes, the next `run` above them, until the bytes are full; then the next `run` bytes.
void put_planes(uint8_t* out, const uint8_t* codes, unsigned first, unsigned width, unsigned run)
{
    const unsigned mask = (1U << width) - 1, planes = 8 / width;
    for (unsigned begin = 0; begin < kSuper; begin += planes * run) {
        for (unsigned j = 0; j < run; ++j) {
            unsigned byte = 0;
            for (unsigned plane = 0; plane < planes; ++plane) {
                byte |= ((codes[begin + plane * run + j] >> first) & mask) << (plane * width);
            }
            *out++ = static_cast<uint8_t>(byte);
        }
    }
}

/// Sixteen six-bit numbers, scale + 32, as Q3_K has them.
void put_scales_q3(uint8_t* out, const int8_t* scales)
{
    const auto low = [scales](unsigned j) { return static_cast<unsigned>(scales[j] + 32) & 15U; };
    const auto high = [scales](unsigned j) { return static_cast<unsigned>(scales[j] + 32) >> 4U; };
    for (unsigned j = 0; j < 8; ++j) {
        out[j] = static_cast<uint8_t>(low(j) | (low(j + 8) << 4U));
    }
    for (unsigned j = 0; j < 4; ++j) {
        out[8 + j] = static_cast<uint8_t>(
            high(j) | (high(j + 4) << 2U) | (high(j + 8) << 4U) | (high(j + 12) << 6U));
    }
}

/// Eight pairs of six-bit numbers, as Q4_K and Q5_K have them.
void put_pairs(uint8_t* out, const int8_t* scales, const uint8_t* minima)
{
    for (unsigned j = 0; j < 4; ++j) {
        const auto scale = static_cast<unsigned>(scales[j]), minimum = unsigned{minima[j]};
        const auto scale4 = static_cast<unsigned>(scales[j + 4]),
                   minimum4 = unsigned{minima[j + 4]};
        out[j] = static_cast<uint8_t>(scale | ((scale4 >> 4U) << 6U));
        out[j + 4] = static_cast<uint8_t>(minimum | ((minimum4 >> 4U) << 6U));
        out[j + 8] = static_cast<uint8_t>((scale4 & 15U) | ((minimum4 & 15U) << 4U));
    }
}

void encode_q2_k(const SuperInput& block, uint8_t* out)
{
    for (unsigned j = 0; j < 16; ++j) {
        out[j] = static_cast<uint8_t>(
            static_cast<unsigned>(block.scales[j]) | (unsigned{block.minima[j]} << 4U));
    }
    put_planes(out + 16, block.codes, 0, 2, 32);
    put_half(out + 80, block.d);
    put_half(out + 82, block.d_min);
}

void encode_q3_k(const SuperInput& block, uint8_t* out)
{
    put_planes(out, block.codes, 2, 1, 32);
    put_planes(out + 32, block.codes, 0, 2, 32);
    put_scales_q3(out + 96, block.scales);
    put_half(out + 108, block.d);
}

void encode_q4_k(const SuperInput& block, uint8_t* out)
{
    put_half(out, block.d);
    put_half(out + 2, block.d_min);
    put_pairs(out + 4, block.scales, block.minima);
    put_planes(out + 16, block.codes, 0, 4, 32);
}

void encode_q5_k(const SuperInput& block, uint8_t* out)
{
    put_half(out, block.d);
    put_half(out + 2, block.d_min);
    put_pairs(out + 4, block.scales, block.minima);
    put_planes(out + 16, block.codes, 4, 1, 32);
    put_planes(out + 48, block.codes, 0, 4, 32);
}

void encode_q6_k(const SuperInput& block, uint8_t* out)
{
    put_planes(out, block.codes, 0, 4, 64);
    put_planes(out + 128, block.codes, 4, 2, 32);
    for (unsigned j = 0; j < 16; ++j) {
        out[192 + j] = static_cast<uint8_t>(block.scales[j]); // two's complement
    }
    put_half(out + 208, block.d);
}

/// A K type; among those that DoubleCodec takes, bits decide which one it is.
struct SuperType
{
    GgufType type;
    int64_t bits;
    void (*encode)(const SuperInput&, uint8_t*);
};
constexpr std::array kSuperTypes = {
    SuperType{GgufType::Q2_K, 2, encode_q2_k},
    SuperType{GgufType::Q3_K, 3, encode_q3_k},
    SuperType{GgufType::Q4_K, 4, encode_q4_k},
    SuperType{GgufType::Q5_K, 5, encode_q5_k},
    SuperType{GgufType::Q6_K, 6, encode_q6_k},
};

/// Null for every other scheme.
const SuperType* find_super_type(const Scheme& scheme)
{
    if (scheme.data_type != DataType::IntDouble || scheme.act_bits < 16
        || !quant::DoubleCodec().refusal(scheme).empty()) {
        return nullptr;
    }
    for (const SuperType& known : kSuperTypes) {
        if (known.bits == scheme.bits) {
            return &known;
        }
    }
    return nullptr;
}

std::string text_of(at::ScalarType type, at::IntArrayRef shape)
{
    return concat(c10::toString(type), " ", shape_text(shape.vec()));
}

/// A part of a weight on the CPU, without gaps.
at::Tensor part_of(const quant::QuantizedWeight& weight, const quant::WeightPart& part,
    at::ScalarType type, at::IntArrayRef shape)
{
    const at::Tensor& values = weight.*part.tensor;
    if (!values.defined() || values.scalar_type() != type || values.sizes() != shape) {
        fail(ErrorCode::ShapeMismatch, "a part of a quantized weight does not fit GGUF blocks",
            {{"part", part.name},
                {"found",
                    values.defined() ? text_of(values.scalar_type(), values.sizes()) : "nothing"},
                {"allowed", text_of(type, shape)}});
    }
    return values.to(at::kCPU).contiguous();
}

/// fp16 [rows, blocks].
at::Tensor super_part_of(
    const quant::QuantizedWeight& weight, const quant::WeightPart& part, at::IntArrayRef shape)
{
    const at::Tensor values = part_of(weight, part, at::kHalf, shape);
    if (!at::isfinite(values).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "scales or minima are not finite 16-bit numbers",
            {{"part", part.name}}, "Keep this layer at 16 bits.");
    }
    return values;
}

/// The parts of a weight as the encoders read them; minima only of asymmetric types.
class SuperParts
{
public:
    SuperParts(const quant::QuantizedWeight& weight, int64_t blocks)
        : groups_(weight.scheme.super_group_size)
    {
        using quant::QuantizedWeight;
        const std::array<int64_t, 2> supers = {weight.rows(), blocks};
        const std::array<int64_t, 2> groups = {weight.rows(), blocks * groups_};
        codes_ = part_of(weight, {"codes", &QuantizedWeight::codes}, at::kByte,
            {weight.rows(), weight.columns()});
        scales_ = part_of(weight, {"scales", &QuantizedWeight::scales}, at::kChar, groups);
        d_ = super_part_of(weight, {"super_scales", &QuantizedWeight::super_scales}, supers);
        if (!weight.scheme.sym) {
            minima_ = part_of(weight, {"zeros", &QuantizedWeight::zeros}, at::kByte, groups);
            d_min_ = super_part_of(weight, {"super_zeros", &QuantizedWeight::super_zeros}, supers);
        }
    }

    SuperInput block(int64_t index) const
    {
        SuperInput input{};
        input.codes = codes_.const_data_ptr<uint8_t>() + index * kSuper;
        input.scales = scales_.const_data_ptr<int8_t>() + index * groups_;
        input.d = d_.const_data_ptr<at::Half>()[index].x;
        if (minima_.defined()) {
            input.minima = minima_.const_data_ptr<uint8_t>() + index * groups_;
            input.d_min = d_min_.const_data_ptr<at::Half>()[index].x;
        }
        return input;
    }

private:
    int64_t groups_; ///< per super-block
    at::Tensor codes_, scales_, minima_, d_, d_min_;
};

} // namespace

std::optional<GgufType> gguf_super_type_of(const Scheme& scheme)
{
    const SuperType* found = find_super_type(scheme);
    return found == nullptr ? std::nullopt : std::optional(found->type);
}

at::Tensor encode_gguf_super_blocks(const quant::QuantizedWeight& weight, GgufType type)
{
    const SuperType* found = find_super_type(weight.scheme);
    if (found == nullptr || found->type != type) {
        fail(ErrorCode::UnsupportedScheme, "codes cannot be written in this GGUF type",
            {{"type", std::string(tensor::gguf_type(type).name)},
                {"found", scheme_name(weight.scheme)}});
    }
    if (weight.columns() % kSuper != 0) {
        fail(ErrorCode::ShapeMismatch, "rows do not hold whole GGUF blocks",
            {{"found", std::to_string(weight.columns())}, {"allowed", "multiples of 256"}});
    }
    const int64_t blocks = weight.columns() / kSuper;
    const int64_t block_bytes = tensor::gguf_type(type).bytes;
    const SuperParts parts(weight, blocks);
    at::Tensor out = at::empty({weight.rows(), blocks * block_bytes}, at::kByte);
    auto* bytes = out.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, weight.rows() * blocks, 512, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
            found->encode(parts.block(b), bytes + b * block_bytes);
        }
    });
    return out;
}

} // namespace bitsmith::exporting
