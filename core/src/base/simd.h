// SPDX-License-Identifier: GPL-3.0-or-later
// Plain loops compiled once per instruction set and chosen at run time, because the build targets
// the baseline of its processor family. The body is a BITSMITH_INLINE function that the compiler
// vectorizes anew inside each version.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__GNUC__)
#define BITSMITH_INLINE inline __attribute__((always_inline))
#else
#define BITSMITH_INLINE inline
#endif

#if defined(__GNUC__) && defined(__x86_64__)
#define BITSMITH_HAS_ISA_VERSIONS 1
#define BITSMITH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))
#define BITSMITH_AVX2 __attribute__((target("avx2,fma")))
#endif

namespace bitsmith {

enum class Isa
{
    Baseline,
    Avx2,
    Avx512
};

#ifdef BITSMITH_HAS_ISA_VERSIONS
inline Isa detect_isa()
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return Isa::Avx512;
    }
    return __builtin_cpu_supports("avx2") ? Isa::Avx2 : Isa::Baseline;
}
inline const Isa kIsa = detect_isa();
#else
inline constexpr Isa kIsa = Isa::Baseline;
#endif

#ifdef BITSMITH_HAS_ISA_VERSIONS
template <class Body>
BITSMITH_AVX512 void run_avx512(const Body& body, int64_t first, int64_t last)
{
    body(first, last);
}

template <class Body>
BITSMITH_AVX2 void run_avx2(const Body& body, int64_t first, int64_t last)
{
    body(first, last);
}
#endif

/// body(first, last) in the version for this machine. `Body::operator()` is BITSMITH_INLINE, and so is
/// what it calls in loops.
template <class Body>
void run_on_isa(const Body& body, int64_t first, int64_t last)
{
#ifdef BITSMITH_HAS_ISA_VERSIONS
    if (kIsa == Isa::Avx512) {
        return run_avx512(body, first, last);
    }
    if (kIsa == Isa::Avx2) {
        return run_avx2(body, first, last);
    }
#endif
    body(first, last);
}

/// Adding and subtracting 1.5 · 2^(mantissa bits) rounds to the nearest even integer in every
/// instruction set; right for magnitudes below 2^(mantissa bits - 1).
template <class T>
inline constexpr T kRounder = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);

template <class T>
BITSMITH_INLINE T round_small(T x)
{
    return (x + kRounder<T>)-kRounder<T>;
}

/// `x` rounded to fp16, to nearest even, without branches that would keep a loop from being
/// vectorized. Not for NaN.
BITSMITH_INLINE float rounded_to_half(float x)
{
    constexpr float kSmallestNormal = 0x1p-14F, kOverflow = 65520.0F;
    const float magnitude = std::abs(x);
    const auto bits = std::bit_cast<uint32_t>(x);
    const float normal = std::bit_cast<float>((bits + 0xFFFU + ((bits >> 13) & 1U)) & ~0x1FFFU);
    // The distance between floats from 0.5 to 1 is that of fp16 below its smallest normal number.
    const float tiny = std::copysign((magnitude + 0.5F) - 0.5F, x);
    const float infinite = std::copysign(std::numeric_limits<float>::infinity(), x);
    const float finite = magnitude < kSmallestNormal ? tiny : normal;
    return magnitude >= kOverflow ? infinite : finite;
}

template <class T>
BITSMITH_INLINE T clamped(T x, T low, T high)
{
    const T raised = x < low ? low : x;
    return raised > high ? high : raised;
}

} // namespace bitsmith
