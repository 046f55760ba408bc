// SPDX-License-Identifier: GPL-3.0-or-later
// Which schemes the format auto_round takes (formats.md 1.7, 2.6 - 2.9).
#include "base/text.h"
#include "export/auto_round_layout.h"

namespace bitsmith::exporting {

namespace {

constexpr int64_t kMxGroup = 32, kNvGroup = 16, kTile = 128;

bool has_activations(const Scheme& scheme, DataType type, int64_t group, bool dynamic = true)
{
    return scheme.act_data_type == type && scheme.act_bits == scheme.bits && scheme.act_sym
        && scheme.act_dynamic == dynamic && scheme.act_group_size == group;
}

std::string mx_refusal(const Scheme& scheme)
{
    const bool is_int = scheme.data_type == DataType::MxInt;
    if (scheme.bits != 4 && (is_int || scheme.bits != 8)) {
        return concat("auto_round has MXFP4, MXFP8 and MXINT4, not ", scheme.bits, "-bit ",
            enum_name(scheme.data_type), " codes");
    }
    if (scheme.group_size != kMxGroup) {
        return "auto_round has MX scales per 32 columns";
    }
    const bool is_known = is_int ? has_activations(scheme, DataType::MxInt, kMxGroup)
                                 : has_activations(scheme, DataType::MxFp, kMxGroup)
            || has_activations(scheme, DataType::MxFpRceil, kMxGroup);
    return is_known ? ""
                    : "auto_round has MX weights only with activations of the same numbers; "
                      "llm_compressor has them with 16-bit activations too";
}

std::string nv_refusal(const Scheme& scheme)
{
    if (scheme.group_size != kNvGroup) {
        return "auto_round has NVFP4 scales per 16 columns";
    }
    return has_activations(scheme, scheme.data_type, kNvGroup)
        ? ""
        : "auto_round has NVFP4 weights only with NVFP4 activations; llm_compressor has them with "
          "16-bit activations too";
}

std::string fp8_refusal(const Scheme& scheme)
{
    if (scheme.group_rows > 1) {
        const bool is_known = scheme.group_rows == kTile && scheme.group_size == kTile
            && has_activations(scheme, DataType::Fp8, kTile);
        return is_known ? ""
                        : "auto_round has FP8 tiles of 128 x 128 with FP8 activations in groups of "
                          "128, scaled at run time";
    }
    // What the reference writes for FPW8A16 nothing loads: not transformers, not vLLM, not itself.
    const bool is_known = scheme.group_size == kGroupPerRow
        && has_activations(scheme, DataType::Fp8, kGroupPerTensor, /*dynamic=*/false);
    return is_known ? ""
                    : "auto_round has FP8 weights per row with FP8 activations per tensor and "
                      "calibrated scales, or in tiles; llm_compressor has other scales and 16-bit "
                      "activations too";
}

} // namespace

std::string auto_round_refusal(const Scheme& scheme)
{
    if (!scheme.is_quantized()) {
        return {};
    }
    switch (scheme.data_type) {
    case DataType::MxFp:
    case DataType::MxFpRceil:
    case DataType::MxInt:
        return mx_refusal(scheme);
    case DataType::NvFp:
    case DataType::NvFpE5m3:
        return nv_refusal(scheme);
    case DataType::Fp8:
        return fp8_refusal(scheme);
    default:
        return packed_int_refusal(scheme, auto_round_int_style(AutoRoundPacking::Plain));
    }
}

} // namespace bitsmith::exporting
