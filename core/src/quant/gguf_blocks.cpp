// SPDX-License-Identifier: GPL-3.0-or-later
// Blocks of 32 elements and plain types. Compiled without contraction of products and sums
// (CMakeLists.txt): a fused multiply-add would round once where the reference rounds twice.
#include "quant/gguf_blocks.h"

#include <bitsmith/error.h>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/util/Half.h>

#include <array>
#include <cstring>

namespace bitsmith::quant {
namespace {

using tensor::GgufType;

constexpr int64_t kBlock = 32;
constexpr int64_t kElementsPerTask = 1 << 16;

void decode_f32(const uint8_t* blocks, int64_t n_blocks, float* out)
{
    std::memcpy(out, blocks, static_cast<std::size_t>(n_blocks) * sizeof(float));
}

void decode_f16(const uint8_t* blocks, int64_t n_blocks, float* out)
{
    for (int64_t i = 0; i < n_blocks; ++i) {
        out[i] = load_half(blocks + 2 * i);
    }
}

void decode_bf16(const uint8_t* blocks, int64_t n_blocks, float* out)
{
    for (int64_t i = 0; i < n_blocks; ++i) {
        const uint32_t bits =
            (uint32_t{blocks[2 * i]} << 16U) | (uint32_t{blocks[2 * i + 1]} << 24U);
        std::memcpy(out + i, &bits, sizeof bits);
    }
}

/// d f16, qs[16]: w = d (q - 8).
void decode_q4_0(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 18, out += kBlock) {
        const float d = load_half(block);
        const uint8_t* qs = block + 2;
        for (int j = 0; j < 16; ++j) {
            out[j] = d * static_cast<float>((qs[j] & 15) - 8);
            out[j + 16] = d * static_cast<float>((qs[j] >> 4) - 8);
        }
    }
}

/// d f16, m f16, qs[16]: w = d q + m.
void decode_q4_1(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 20, out += kBlock) {
        const float d = load_half(block);
        const float m = load_half(block + 2);
        const uint8_t* qs = block + 4;
        for (int j = 0; j < 16; ++j) {
            out[j] = d * static_cast<float>(qs[j] & 15) + m;
            out[j + 16] = d * static_cast<float>(qs[j] >> 4) + m;
        }
    }
}

uint32_t load_u32(const uint8_t* bytes)
{
    return uint32_t{bytes[0]} | (uint32_t{bytes[1]} << 8U) | (uint32_t{bytes[2]} << 16U)
        | (uint32_t{bytes[3]} << 24U);
}

/// Codes of a Q5 block: low nibbles in qs, bit i of qh is the fifth bit of element i.
std::array<int, kBlock> codes_of_q5(const uint8_t* high, const uint8_t* qs)
{
    std::array<int, kBlock> codes;
    const uint32_t qh = load_u32(high);
    for (unsigned j = 0; j < 16; ++j) {
        codes[j] = (qs[j] & 15) | static_cast<int>(((qh >> j) & 1U) << 4U);
        codes[j + 16] = (qs[j] >> 4) | static_cast<int>(((qh >> (j + 16)) & 1U) << 4U);
    }
    return codes;
}

/// d f16, qh[4], qs[16]: w = d (q - 16).
void decode_q5_0(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 22, out += kBlock) {
        const float d = load_half(block);
        const std::array<int, kBlock> codes = codes_of_q5(block + 2, block + 6);
        for (std::size_t j = 0; j < codes.size(); ++j) {
            out[j] = d * static_cast<float>(codes[j] - 16);
        }
    }
}

/// d f16, m f16, qh[4], qs[16]: w = d q + m.
void decode_q5_1(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 24, out += kBlock) {
        const float d = load_half(block);
        const float m = load_half(block + 2);
        const std::array<int, kBlock> codes = codes_of_q5(block + 4, block + 8);
        for (std::size_t j = 0; j < codes.size(); ++j) {
            out[j] = d * static_cast<float>(codes[j]) + m;
        }
    }
}

/// d f16, i8 qs[32]: w = d q.
void decode_q8_0(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 34, out += kBlock) {
        const float d = load_half(block);
        for (int j = 0; j < kBlock; ++j) {
            out[j] = d * static_cast<float>(static_cast<int8_t>(block[2 + j]));
        }
    }
}

struct TypeDecoder
{
    GgufType type;
    GgufBlockDecoder decode;
};

constexpr std::array<TypeDecoder, 13> kDecoders{{
    {GgufType::F32, decode_f32},
    {GgufType::F16, decode_f16},
    {GgufType::BF16, decode_bf16},
    {GgufType::Q4_0, decode_q4_0},
    {GgufType::Q4_1, decode_q4_1},
    {GgufType::Q5_0, decode_q5_0},
    {GgufType::Q5_1, decode_q5_1},
    {GgufType::Q8_0, decode_q8_0},
    {GgufType::Q2_K, decode_q2_k},
    {GgufType::Q3_K, decode_q3_k},
    {GgufType::Q4_K, decode_q4_k},
    {GgufType::Q5_K, decode_q5_k},
    {GgufType::Q6_K, decode_q6_k},
}};

GgufBlockDecoder decoder_for(GgufType type)
{
    for (const TypeDecoder& entry : kDecoders) {
        if (entry.type == type) {
            return entry.decode;
        }
    }
    return nullptr;
}

} // namespace

float load_half(const uint8_t* bytes)
{
    return c10::detail::fp16_ieee_to_fp32_value(
        static_cast<uint16_t>(bytes[0] | (uint16_t{bytes[1]} << 8U)));
}

bool is_gguf_decodable(GgufType type)
{
    return decoder_for(type) != nullptr;
}

std::string decodable_gguf_types()
{
    std::string names;
    for (const TypeDecoder& entry : kDecoders) {
        names += names.empty() ? "" : " ";
        names += tensor::gguf_type(entry.type).name;
    }
    return names;
}

at::Tensor decode_gguf(const tensor::GgufTypeInfo& type, std::span<const std::byte> bytes,
    const std::vector<int64_t>& shape)
{
    const GgufBlockDecoder decode = decoder_for(type.type);
    if (decode == nullptr) {
        fail(ErrorCode::UnsupportedFormat, "GGUF tensors of this type are not read",
            {{"found", std::string(type.name)}, {"allowed", decodable_gguf_types()}},
            "Take a file of the same model in one of these types.");
    }
    at::Tensor out = at::empty(shape, at::kFloat);
    const int64_t n_blocks = out.numel() / type.block;
    BITSMITH_ASSERT(n_blocks * type.block == out.numel());
    BITSMITH_ASSERT(static_cast<std::size_t>(n_blocks * type.bytes) == bytes.size());
    const auto* blocks = reinterpret_cast<const uint8_t*>(bytes.data());
    float* values = out.data_ptr<float>();
    at::parallel_for(0, n_blocks, kElementsPerTask / type.block, [&](int64_t begin, int64_t end) {
        decode(blocks + begin * type.bytes, end - begin, values + begin * type.block);
    });
    return out;
}

} // namespace bitsmith::quant
