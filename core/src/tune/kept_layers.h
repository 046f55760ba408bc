// SPDX-License-Identifier: GPL-3.0-or-later
// The last rung before an error (ahead.md 4.11): a layer whose numbers fail stays as it is, together
// with the layers that runtimes fuse with it.
#pragma once

#include "tune/rtn.h"

namespace bitsmith::tune {

/// `layer` and the layers of its unit, when all of them may stay as they are; none otherwise, or
/// when `layer` is not among `layers`. `why` follows "stays at 16 bits: " in the reason.
std::vector<KeptLayer> keep_unit(const std::vector<PlannedLinear>& layers, std::string_view layer,
    const std::string& why, const BlockInputs& inputs);

bool contains(const std::vector<KeptLayer>& kept, std::string_view layer);

/// Takes out of `layers` those whose weights cannot be quantized, with their units, as far as they
/// may be kept; the others fail where they are quantized.
std::vector<KeptLayer> set_apart(std::vector<PlannedLinear>& layers, const BlockInputs& inputs);

/// A Warning and a LayerFinished for each.
void report_kept(RunContext& context, int64_t block, const std::vector<KeptLayer>& kept);

} // namespace bitsmith::tune
