// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/sha256.h"

#include "base/file_ops.h"
#include "base/simd.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <bit>
#include <cstring>

#ifdef BITSMITH_HAS_ISA_VERSIONS
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace bitsmith {

namespace {

// First 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS
// 180-4, 4.2.2).
constexpr std::array<uint32_t, 64> kRounds = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
    0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
    0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t big_endian(const std::byte* p)
{
    uint32_t value = 0;
    std::memcpy(&value, p, sizeof value);
    return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}

using State = std::array<uint32_t, 8>;

void add_block(State& state, const std::byte* data)
{
    std::array<uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i) {
        w[i] = big_endian(data + 4 * i);
    }
    for (std::size_t i = 16; i < 64; ++i) {
        const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
        const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < 64; ++i) {
        const uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
        const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRounds[i] + w[i];
        const uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
        const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const std::array<uint32_t, 8> step = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) {
        state[i] += step[i];
    }
}

#ifdef BITSMITH_HAS_ISA_VERSIONS
bool has_sha_instructions()
{
    constexpr unsigned kFeatures = 7, kShaBit = 29;
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(kFeatures, 0, &a, &b, &c, &d) != 0 && (b >> kShaBit & 1U) != 0
        && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

/// The instructions want the state as ABEF and CDGH, the first letter in the highest lane.
__attribute__((target("sha,sse4.1"))) void add_blocks_by_instructions(
    State& state, const std::byte* data, std::size_t n_blocks)
{
    const auto load = [](const void* from) {
        return _mm_loadu_si128(static_cast<const __m128i*>(from));
    };
    const __m128i swapped = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i badc = _mm_shuffle_epi32(load(state.data()), 0xB1);
    const __m128i hgfe = _mm_shuffle_epi32(load(state.data() + 4), 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    for (; n_blocks > 0; --n_blocks, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (std::size_t i = 0; i < 16; ++i) {
            __m128i& now = w[i % 4];
            if (i < 4) {
                now = _mm_shuffle_epi8(load(data + 16 * i), swapped);
            } else {
                const __m128i last = w[(i + 3) % 4];
                const __m128i seven_back = _mm_alignr_epi8(last, w[(i + 2) % 4], 4);
                now = _mm_sha256msg2_epu32(
                    _mm_add_epi32(_mm_sha256msg1_epu32(now, w[(i + 1) % 4]), seven_back), last);
            }
            const __m128i sum = _mm_add_epi32(now, load(&kRounds[4 * i]));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#endif

} // namespace

void Sha256::add_blocks(const std::byte* data, std::size_t n_blocks)
{
#ifdef BITSMITH_HAS_ISA_VERSIONS
    static const bool has_instructions = has_sha_instructions();
    if (has_instructions && !plain_) {
        add_blocks_by_instructions(state_, data, n_blocks);
        return;
    }
#endif
    for (std::size_t i = 0; i < n_blocks; ++i) {
        add_block(state_, data + 64 * i);
    }
}

void Sha256::update(std::span<const std::byte> bytes)
{
    n_bytes_ += bytes.size();
    if (n_pending_ > 0) {
        const std::size_t n = std::min(bytes.size(), pending_.size() - n_pending_);
        std::copy_n(bytes.begin(), n, pending_.begin() + static_cast<std::ptrdiff_t>(n_pending_));
        n_pending_ += n;
        bytes = bytes.subspan(n);
        if (n_pending_ < pending_.size()) {
            return;
        }
        add_blocks(pending_.data(), 1);
        n_pending_ = 0;
    }
    const std::size_t n_blocks = bytes.size() / pending_.size();
    add_blocks(bytes.data(), n_blocks);
    bytes = bytes.subspan(n_blocks * pending_.size());
    std::copy(bytes.begin(), bytes.end(), pending_.begin());
    n_pending_ = bytes.size();
}

std::string Sha256::finish()
{
    const uint64_t n_bits = n_bytes_ * 8;
    std::vector<std::byte> tail((n_pending_ < 56 ? 56 : 120) - n_pending_ + 8);
    tail[0] = std::byte{0x80};
    for (std::size_t i = 0; i < 8; ++i) {
        tail[tail.size() - 1 - i] = static_cast<std::byte>(n_bits >> (8 * i));
    }
    update(tail);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (const uint32_t word : state_) {
        for (int shift = 28; shift >= 0; shift -= 4) {
            hex += digits[(word >> shift) & 15];
        }
    }
    return hex;
}

std::string sha256(std::span<const std::byte> bytes)
{
    Sha256 hash;
    hash.update(bytes);
    return hash.finish();
}

std::string sha256_file(const std::filesystem::path& file)
{
    std::error_code error;
    if (std::filesystem::is_regular_file(file, error)
        && std::filesystem::file_size(file, error) == 0) {
        return sha256({});
    }
    const std::shared_ptr<const ByteSource> source = map_file(file);
    const std::size_t size = source->bytes().size();
    constexpr std::size_t kChunk = std::size_t{1} << 20U;
    std::vector<std::byte> chunk(std::min(kChunk, size));
    Sha256 hash;
    for (std::size_t at = 0; at < size; at += chunk.size()) {
        chunk.resize(std::min(kChunk, size - at));
        source->read(at, chunk);
        hash.update(chunk);
    }
    return hash.finish();
}

} // namespace bitsmith
