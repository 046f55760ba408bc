// SPDX-License-Identifier: GPL-3.0-or-later
// The codes of a quantized checkpoint, for conversions that must not round a second time.
#pragma once

#include "quant/codec.h"

#include <functional>
#include <map>
#include <string>

namespace bitsmith::source {

/// Layers whose codes one of our codecs holds exactly: codec_for(scheme).decode(load(P)) equals the
/// tensor P.weight of the decoded source bit for bit. Left out are layers with columns in another
/// order (GPTQ's act-order), scales that are no fp16 numbers, and types without a codec.
/// Thread-safe.
class CodedLayers : public quant::QuantizedStore
{
public:
    /// By the layer's name P, with what a runtime rounds of its inputs as far as a scheme says it.
    /// The first call reads scales, zero points and column orders of all layers; throws what
    /// reading does.
    virtual const std::map<std::string, Scheme, std::less<>>& schemes() const = 0;
};

} // namespace bitsmith::source
