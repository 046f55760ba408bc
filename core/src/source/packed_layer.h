// SPDX-License-Identifier: GPL-3.0-or-later
// Layers of packed integers in the layouts of GPTQ and AWQ, G = groups of a row:
//
//            GPTQ, bits 2, 3, 4, 8 (formats.md 2.3, 3.1)         AWQ, 4 bits (formats.md 4)
//   qweight  I32 [in / 32 * bits, out], packed along the input   I32 [in, out / 8], along output
//   qzeros   I32 [G, out / 32 * bits]                            I32 [G, out / 8]
//   scales   floating point [G, out]                             likewise
//   g_idx    I32 [in], the group of each column; may be absent   none
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"
#include "tensor/bit_pack.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace bitsmith::source {

enum class PackedOrder
{
    Gptq,
    Awq,
};

/// What the configuration says about one layer.
struct PackedRule
{
    PackedOrder order = PackedOrder::Gptq;
    int64_t bits = 4;
    int64_t group_size = 128; ///< kGroupPerRow: one group
    bool sym = true;
    /// MinusOne is read field by field: zero = stored field + 1, up to 2^bits, as the kernels of
    /// GPTQ do (formats.md 3.1). Files whose writer subtracted from whole words, which borrows
    /// across fields where a zero point is 0 (3.4, behaviour b), cannot be told apart and decode to
    /// what these kernels compute.
    tensor::ZeroOffset offset = tensor::ZeroOffset::Plain;
};

/// `rule` with what `values` says about bits, group_size and sym. Throws UnsupportedFormat for a value
/// of another kind.
PackedRule with_fields(const Json& values, PackedRule rule);

/// `stored` with each layer that has qweight decoded by rule_of(name of the layer), and
/// `cache` as its key/value cache. Throws
/// UnsupportedFormat for a width that is not packed like this, FileCorrupt for tensors that do not fit
/// each other and the rule, MissingTensor, and what `rule_of` throws. Values of g_idx are checked when
/// a layer is loaded.
std::shared_ptr<const DecodedSource> open_packed(std::shared_ptr<const tensor::TensorSource> stored,
    const std::function<PackedRule(const std::string& layer)>& rule_of, CacheRule cache = {});

} // namespace bitsmith::source
