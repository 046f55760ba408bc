// SPDX-License-Identifier: GPL-3.0-or-later
// Which schemes the format llm_compressor takes (formats.md 5.2 - 5.8).
#include "base/text.h"
#include "export/compressed_tensors_config.h"

#include <bitsmith/error.h>

namespace bitsmith::exporting {

namespace {

constexpr int64_t kMxGroup = 32;

bool has_dynamic_sym_activations(const Scheme& scheme, DataType type, int64_t bits, int64_t group)
{
    return scheme.act_data_type == type && scheme.act_bits == bits && scheme.act_sym
        && scheme.act_dynamic && scheme.act_group_size == group;
}

std::string int_refusal(const Scheme& scheme)
{
    if (scheme.group_rows != 1 || (scheme.group_size != kGroupPerRow && scheme.group_size < 1)) {
        return "llm_compressor has a scale per group or row of integers, not one per tensor or "
               "tile";
    }
    if (!scheme.quantizes_activations()) {
        const bool is_packed = scheme.bits == 2 || scheme.bits == 4 || scheme.bits == 8;
        return is_packed ? ""
                         : concat("llm_compressor packs 2, 4 or 8 bits: releases of "
                                  "compressed-tensors disagree about the order of ",
                             scheme.bits, "-bit codes");
    }
    if (scheme.bits != 4 && scheme.bits != 8) {
        return concat("llm_compressor has 4- or 8-bit integer weights beside integer activations, "
                      "not ",
            scheme.bits, "-bit ones");
    }
    const bool is_known = has_dynamic_sym_activations(scheme, DataType::Int, 4, kGroupPerRow)
        || has_dynamic_sym_activations(scheme, DataType::Int, 8, kGroupPerRow);
    return is_known ? ""
                    : "llm_compressor has integer weights with symmetric integer activations of 4 "
                      "or 8 bits, scaled per token at run time, or with 16-bit activations";
}

std::string fp8_refusal(const Scheme& scheme)
{
    const bool is_tiled = scheme.group_rows > 1;
    if (!is_tiled && scheme.group_size != kGroupPerRow && scheme.group_size != kGroupPerTensor) {
        return "llm_compressor has FP8 weights with a scale per row, tensor or tile, not per group "
               "of columns";
    }
    if (is_tiled) {
        const bool is_known =
            has_dynamic_sym_activations(scheme, DataType::Fp8, 8, scheme.group_size);
        return is_known
            ? ""
            : "llm_compressor has FP8 tiles only with FP8 activations in groups as wide "
              "as the tiles, scaled at run time";
    }
    if (!scheme.quantizes_activations()) {
        return {};
    }
    Scheme dynamic = scheme;
    dynamic.act_dynamic = true;
    const bool is_known = scheme.act_dynamic
        ? has_dynamic_sym_activations(scheme, DataType::Fp8, 8, kGroupPerRow)
        : has_dynamic_sym_activations(dynamic, DataType::Fp8, 8, kGroupPerTensor);
    return is_known
        ? ""
        : "llm_compressor has FP8 weights with FP8 activations per token at run time, or "
          "per tensor with calibrated scales";
}

std::string mx_refusal(const Scheme& scheme)
{
    if (scheme.bits != 4 && scheme.bits != 8) {
        return concat("llm_compressor has MXFP4 and MXFP8, not MXFP", scheme.bits,
            ": runtimes do not read it");
    }
    if (scheme.group_size != kMxGroup) {
        return "llm_compressor has MX scales per 32 columns";
    }
    if (!scheme.quantizes_activations()) {
        return {};
    }
    if (scheme.act_data_type == DataType::MxFpRceil) {
        return "llm_compressor cannot say that scales of activations are rounded up";
    }
    const bool is_known =
        has_dynamic_sym_activations(scheme, DataType::MxFp, scheme.bits, kMxGroup);
    return is_known ? ""
                    : "llm_compressor has MX weights with activations of the same numbers, or with "
                      "16-bit activations";
}

std::string nv_refusal(const Scheme& scheme)
{
    const bool is_known = !scheme.quantizes_activations()
        || has_dynamic_sym_activations(scheme, DataType::NvFp, 4, scheme.group_size);
    return is_known ? ""
                    : "llm_compressor has NVFP4 weights with NVFP4 activations, or with 16-bit "
                      "activations";
}

} // namespace

std::string compressed_refusal(const Scheme& scheme)
{
    if (!scheme.is_quantized()) {
        return {};
    }
    switch (scheme.data_type) {
    case DataType::Int:
        return int_refusal(scheme);
    case DataType::Fp8:
        return fp8_refusal(scheme);
    case DataType::Fp8E5m2:
        return "llm_compressor has E4M3 numbers, not E5M2 ones";
    case DataType::MxFp:
    case DataType::MxFpRceil: // the bytes of weights do not tell how they were rounded
        return mx_refusal(scheme);
    case DataType::NvFp:
        return nv_refusal(scheme);
    case DataType::NvFpE5m3:
        return "llm_compressor has NVFP4 with E4M3 scales, not with UE5M3 scales";
    case DataType::MxInt:
        return "llm_compressor has no fixed-point numbers (MXINT)";
    case DataType::IntFloatZero:
    case DataType::IntDouble:
        return "llm_compressor has integer zero points, not the minima of GGUF types";
    case DataType::Float:
        break;
    }
    return concat("llm_compressor does not have ", enum_name(scheme.data_type), " codes");
}

CompressedFormat compressed_format(const Scheme& scheme)
{
    switch (scheme.data_type) {
    case DataType::Int:
        return scheme.quantizes_activations() ? CompressedFormat::Int : CompressedFormat::PackedInt;
    case DataType::Fp8:
        return CompressedFormat::Float8;
    case DataType::NvFp:
        return CompressedFormat::NvFp4;
    default:
        BITSMITH_ASSERT(
            scheme.data_type == DataType::MxFp || scheme.data_type == DataType::MxFpRceil);
        return scheme.bits == 4 ? CompressedFormat::MxFp4 : CompressedFormat::MxFp8;
    }
}

std::string_view format_word(CompressedFormat format)
{
    switch (format) {
    case CompressedFormat::PackedInt:
        return "pack-quantized";
    case CompressedFormat::Int:
        return "int-quantized";
    case CompressedFormat::Float8:
        return "float-quantized";
    case CompressedFormat::MxFp4:
        return "mxfp4-pack-quantized";
    case CompressedFormat::MxFp8:
        return "mxfp8-quantized";
    case CompressedFormat::NvFp4:
        return "nvfp4-pack-quantized";
    }
    return "dense";
}

} // namespace bitsmith::exporting
