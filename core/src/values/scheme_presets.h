// SPDX-License-Identifier: GPL-3.0-or-later
// Tables of the named number formats. Source: algorithm.md 3.2, 3.3; formats.md 6.2.
#pragma once

#include <bitsmith/scheme.h>

#include <span>
#include <string_view>

namespace bitsmith {

/// A format with a name of its own that is neither W{bits}A{bits} nor a GGUF type.
struct SchemePreset
{
    std::string_view name;
    std::string_view title;
    Scheme scheme;
};
std::span<const SchemePreset> scheme_presets();

/// A preset of integer weights that gives routed experts the bits of its scheme and all other
/// layers `other_bits`. Source: algorithm.md 3.4.
struct BitsMix
{
    std::string_view name;
    std::string_view title;
    int64_t other_bits;
    Scheme scheme; ///< with mix = name in lower case
};
std::span<const BitsMix> bits_mixes();
/// The mix that `scheme` names; null when it names none.
const BitsMix* find_bits_mix(const Scheme& scheme);

/// A GGUF tensor type, or a preset that gives the layers of a model different types.
struct GgufPreset
{
    std::string_view name;
    std::string_view title;
    double bits_per_weight; ///< bytes per GGUF block * 8 / weights per block; mixes: of the base
    Scheme scheme; ///< with gguf_type = name
    /// Type of the layers that no rule of the mix is about; empty for a tensor type.
    std::string_view base = {};
};
std::span<const GgufPreset> gguf_presets();
/// Null when there is no such type. "q6_k_s" is another name of q6_k.
const GgufPreset* find_gguf_preset(std::string_view name);
/// Whether the layers that ask for `scheme` get different types (plan/gguf_mix.h).
bool is_gguf_mix(const Scheme& scheme);

} // namespace bitsmith
