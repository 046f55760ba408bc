// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/gguf_types.h"

#include <bitsmith/error.h>

#include <array>

namespace bitsmith::tensor {
namespace {

// Block sizes: ggml-org/ggml: src/ggml-common.h (sizes of the block structures only).
constexpr std::array<GgufTypeInfo, 33> kTypes{{
    {GgufType::F32, "F32", 1, 4},
    {GgufType::F16, "F16", 1, 2},
    {GgufType::Q4_0, "Q4_0", 32, 18},
    {GgufType::Q4_1, "Q4_1", 32, 20},
    {GgufType::Q5_0, "Q5_0", 32, 22},
    {GgufType::Q5_1, "Q5_1", 32, 24},
    {GgufType::Q8_0, "Q8_0", 32, 34},
    {GgufType::Q8_1, "Q8_1", 32, 36},
    {GgufType::Q2_K, "Q2_K", 256, 84},
    {GgufType::Q3_K, "Q3_K", 256, 110},
    {GgufType::Q4_K, "Q4_K", 256, 144},
    {GgufType::Q5_K, "Q5_K", 256, 176},
    {GgufType::Q6_K, "Q6_K", 256, 210},
    {GgufType::Q8_K, "Q8_K", 256, 292},
    {GgufType::IQ2_XXS, "IQ2_XXS", 256, 66},
    {GgufType::IQ2_XS, "IQ2_XS", 256, 74},
    {GgufType::IQ3_XXS, "IQ3_XXS", 256, 98},
    {GgufType::IQ1_S, "IQ1_S", 256, 50},
    {GgufType::IQ4_NL, "IQ4_NL", 32, 18},
    {GgufType::IQ3_S, "IQ3_S", 256, 110},
    {GgufType::IQ2_S, "IQ2_S", 256, 82},
    {GgufType::IQ4_XS, "IQ4_XS", 256, 136},
    {GgufType::I8, "I8", 1, 1},
    {GgufType::I16, "I16", 1, 2},
    {GgufType::I32, "I32", 1, 4},
    {GgufType::I64, "I64", 1, 8},
    {GgufType::F64, "F64", 1, 8},
    {GgufType::IQ1_M, "IQ1_M", 256, 56},
    {GgufType::BF16, "BF16", 1, 2},
    {GgufType::TQ1_0, "TQ1_0", 256, 54},
    {GgufType::TQ2_0, "TQ2_0", 256, 66},
    {GgufType::MXFP4, "MXFP4", 32, 17},
    {GgufType::NVFP4, "NVFP4", 64, 36},
}};

} // namespace

const GgufTypeInfo* gguf_type(uint32_t number)
{
    for (const GgufTypeInfo& info : kTypes) {
        if (static_cast<uint32_t>(info.type) == number) {
            return &info;
        }
    }
    return nullptr;
}

const GgufTypeInfo& gguf_type(GgufType type)
{
    const GgufTypeInfo* info = gguf_type(static_cast<uint32_t>(type));
    BITSMITH_ASSERT(info != nullptr);
    return *info;
}

} // namespace bitsmith::tensor
