// SPDX-License-Identifier: GPL-3.0-or-later
// Rotary settings of a GGUF model as config.json has them (formats.md 6.4 and 6.6 items 3 and 4),
// and the metadata keys of one architecture.
#pragma once

#include "base/json_io.h"
#include "source/gguf_parts.h"

namespace bitsmith::source {

/// Metadata keys with the architecture's prefix.
class GgufKeys
{
public:
    GgufKeys(const tensor::GgufMetadata& metadata, std::string arch)
        : metadata_(metadata)
        , arch_(std::move(arch))
    { }

    const tensor::GgufMetadata& metadata() const { return metadata_; }
    std::string name(std::string_view key) const { return arch_ + "." + std::string(key); }
    std::optional<int64_t> integer(std::string_view key) const
    {
        return metadata_.integer(name(key));
    }
    std::optional<double> number(std::string_view key) const { return metadata_.number(name(key)); }
    std::optional<std::string> text(std::string_view key) const
    {
        return metadata_.text(name(key));
    }
    /// Throws FileCorrupt when the key is absent or not in 1 .. 2^31 - 1.
    int64_t required(std::string_view key) const;
    /// Throws FileCorrupt when the key is absent, not finite or not above 0.
    double required_number(std::string_view key) const;
    [[noreturn]] void corrupt(std::string_view key, std::string found, std::string allowed) const;
    [[noreturn]] void unsupported(
        std::string_view key, std::string found, std::string allowed) const;

private:
    const tensor::GgufMetadata& metadata_;
    std::string arch_;
};

/// Adds rope_theta and rope_scaling. Throws UnsupportedModel for a scaling that is not known,
/// because a wrong guess would calibrate on garbage.
void add_gguf_rope(Json& config, const GgufParts& parts, const GgufKeys& keys);

/// rope_scaling of the llama3 kind whose divisors are `values` (rope_freqs.weight) for rotary base
/// `theta`; null when none of the published settings gives them.
Json llama3_scaling_from(std::span<const float> values, double theta);

} // namespace bitsmith::source
