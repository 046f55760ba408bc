// SPDX-License-Identifier: GPL-3.0-or-later
// Blocks whose keys and values are rounded as the cache of a runtime rounds them.
#pragma once

#include "base/context.h"
#include "model/decoder_block.h"
#include "quant/codec.h"

#include <bitsmith/scheme.h>

#include <functional>

namespace bitsmith::tune {

/// Lets `block` round its keys and values from here on; undefined maxima: no longer.
void set_cache(model::DecoderBlock& block, const quant::CacheMaxima& maxima);

/// The maxima of `block`, with the weights it has, on all samples of `chain` [samples, tokens,
/// hidden]; `forward` runs the block on `micro_batch` of them at a time. The block rounds to them
/// from here on. Undefined, and the block as it was, for CacheType::None and for a block without
/// keys. (The reference keeps the maxima of the last batch.) Throws NumericFailure for keys or
/// values that are not finite.
quant::CacheMaxima round_cache(RunContext& context, model::DecoderBlock& block, CacheType type,
    const at::Tensor& chain, int64_t micro_batch,
    const std::function<void(const at::Tensor&)>& forward);

} // namespace bitsmith::tune
