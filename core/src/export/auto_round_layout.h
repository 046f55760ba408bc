// SPDX-License-Identifier: GPL-3.0-or-later
// Which layouts the format auto_round has, which one a plan gets, and the tensors of it: a pure
// function of model and plan, so that headers can be written before the data and checked after it.
// Source: formats.md 1.7, 2.3 - 2.9.
#pragma once

#include "export/compressed_tensors_layout.h"
#include "export/packed_int.h"

#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::exporting {

/// A folder has one.
enum class AutoRoundPacking
{
    Gptq, ///< integers, zero points minus one
    Plain, ///< integers, zero points as they are
    Awq, ///< 4-bit integers
    CompressedTensors, ///< MXFP4, MXFP8 and NVFP4
    NvFpE5m3,
    MxInt,
    Fp8Static, ///< calibrated scales of activations
    Fp8Tiles,
};

struct AutoRoundPackingInfo
{
    std::string_view word; ///< packing_format
    std::string_view dtype; ///< what config.json names; empty: as the source
};
const AutoRoundPackingInfo& packing_info(AutoRoundPacking packing);
bool holds_integers(AutoRoundPacking packing);

/// Empty: the format has layers of this scheme. Otherwise the reason in one sentence.
std::string auto_round_refusal(const Scheme& scheme);
/// The same for schemes that one folder cannot hold together.
std::string auto_round_plan_refusal(const Plan& plan);
/// Integers: Gptq when all layers are symmetric, otherwise Awq where the layers fit, otherwise Plain.
/// Throws UnsupportedScheme with the reason of auto_round_plan_refusal.
AutoRoundPacking auto_round_packing(const Plan& plan);

/// Layouts of integers. Throws as packed_int_layout does.
PackedIntStyle auto_round_int_style(AutoRoundPacking packing);
/// All others: as in compressed-tensors, except for names and shapes of FP8 scales. Throws as
/// compressed_layer does.
std::vector<CompressedTensor> auto_round_float_layout(const ExportInput& input);

/// use(layout, packer) with the tensors of the folder and the packer that produces them.
template <class Use>
auto with_auto_round_layout(const ExportInput& input, const Use& use)
{
    const AutoRoundPacking packing = auto_round_packing(input.plan);
    if (holds_integers(packing)) {
        const PackedIntStyle style = auto_round_int_style(packing);
        PackedIntPacker packer(input, style);
        return use(packed_int_layout(input, style), packer);
    }
    CompressedPacker packer(input);
    return use(auto_round_float_layout(input), packer);
}

} // namespace bitsmith::exporting
