// SPDX-License-Identifier: GPL-3.0-or-later
// K types: super-blocks of 256 elements whose sub-blocks have scales of their own. Compiled without
// contraction of products and sums, as gguf_blocks.cpp.
#include "quant/gguf_blocks.h"

#include <array>

namespace bitsmith::quant {
namespace {

constexpr int kSuper = 256;

/// Six-bit scales and minimums of the eight sub-blocks of Q4_K and Q5_K.
struct SubScales
{
    std::array<float, 8> scale;
    std::array<float, 8> minimum;
};

SubScales load_sub_scales(const uint8_t* packed, float d, float d_min)
{
    SubScales result;
    for (std::size_t j = 0; j < 8; ++j) {
        const bool is_low = j < 4;
        const int sc = is_low ? packed[j] & 63 : (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4);
        const int mn = is_low ? packed[j + 4] & 63 : (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4);
        result.scale[j] = d * static_cast<float>(sc);
        result.minimum[j] = d_min * static_cast<float>(mn);
    }
    return result;
}

} // namespace

/// scales[16], qs[64], d f16, dmin f16: w = d sc q - dmin mn.
void decode_q2_k(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 84, out += kSuper) {
        const uint8_t* qs = block + 16;
        const float d = load_half(block + 80);
        const float d_min = load_half(block + 82);
        for (int sub = 0; sub < 16; ++sub) {
            const float scale = d * static_cast<float>(block[sub] & 15);
            const float minimum = d_min * static_cast<float>(block[sub] >> 4);
            const int first = 16 * sub;
            const uint8_t* bytes = qs + 32 * (first / 128) + first % 32;
            const int shift = 2 * ((first % 128) / 32);
            for (int l = 0; l < 16; ++l) {
                out[first + l] = scale * static_cast<float>((bytes[l] >> shift) & 3) - minimum;
            }
        }
    }
}

/// hmask[32], qs[64], scales[12], d f16: w = d (S - 32) (lo + 4 hi - 4).
void decode_q3_k(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 110, out += kSuper) {
        const uint8_t* high_mask = block;
        const uint8_t* qs = block + 32;
        const uint8_t* scales = block + 96;
        const float d = load_half(block + 108);
        for (int sub = 0; sub < 16; ++sub) {
            const int low = (scales[sub % 8] >> (4 * (sub / 8))) & 15;
            const int high = (scales[8 + sub % 4] >> (2 * (sub / 4))) & 3;
            const float scale = d * static_cast<float>((low | (high << 4)) - 32);
            const int first = 16 * sub;
            const uint8_t* bytes = qs + 32 * (first / 128) + first % 32;
            const int shift = 2 * ((first % 128) / 32);
            for (int l = 0; l < 16; ++l) {
                const int bit = (high_mask[first % 32 + l] >> (first / 32)) & 1;
                const int code = ((bytes[l] >> shift) & 3) + 4 * bit - 4;
                out[first + l] = scale * static_cast<float>(code);
            }
        }
    }
}

/// d f16, dmin f16, scales[12], qs[128]: w = d sc q - dmin mn.
void decode_q4_k(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 144, out += kSuper) {
        const SubScales subs = load_sub_scales(block + 4, load_half(block), load_half(block + 2));
        for (std::size_t sub = 0; sub < 8; ++sub) {
            const uint8_t* qs = block + 16 + 32 * (sub / 2);
            const int shift = sub % 2 == 0 ? 0 : 4;
            float* values = out + 32 * sub;
            for (int l = 0; l < 32; ++l) {
                values[l] =
                    subs.scale[sub] * static_cast<float>((qs[l] >> shift) & 15) - subs.minimum[sub];
            }
        }
    }
}

/// d f16, dmin f16, scales[12], qh[32], qs[128]: as Q4_K with a fifth bit in qh.
void decode_q5_k(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 176, out += kSuper) {
        const SubScales subs = load_sub_scales(block + 4, load_half(block), load_half(block + 2));
        const uint8_t* high = block + 16;
        for (std::size_t sub = 0; sub < 8; ++sub) {
            const uint8_t* qs = block + 48 + 32 * (sub / 2);
            const int shift = sub % 2 == 0 ? 0 : 4;
            float* values = out + 32 * sub;
            for (int l = 0; l < 32; ++l) {
                const int code = ((qs[l] >> shift) & 15) | (((high[l] >> sub) & 1) << 4);
                values[l] = subs.scale[sub] * static_cast<float>(code) - subs.minimum[sub];
            }
        }
    }
}

/// ql[128], qh[64], i8 scales[16], d f16: w = d scale (q - 32).
void decode_q6_k(const uint8_t* block, int64_t n_blocks, float* out)
{
    for (int64_t b = 0; b < n_blocks; ++b, block += 210, out += kSuper) {
        const uint8_t* scales = block + 192;
        const float d = load_half(block + 208);
        for (int sub = 0; sub < 16; ++sub) {
            const float scale = d * static_cast<float>(static_cast<int8_t>(scales[sub]));
            const int first = 16 * sub;
            const int half = first / 128;
            const int group = (first % 128) / 32;
            const uint8_t* low = block + 64 * half + 32 * (group % 2) + first % 32;
            const uint8_t* high = block + 128 + 32 * half + first % 32;
            for (int l = 0; l < 16; ++l) {
                const int code =
                    ((low[l] >> (4 * (group / 2))) & 15) | (((high[l] >> (2 * group)) & 3) << 4);
                out[first + l] = scale * static_cast<float>(code - 32);
            }
        }
    }
}

} // namespace bitsmith::quant
