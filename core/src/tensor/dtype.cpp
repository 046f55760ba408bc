// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/dtype.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <array>

namespace bitsmith::tensor {

namespace {

struct Word
{
    std::string_view word;
    c10::ScalarType type;
};

// F4, F6_* and C64 are left out on purpose: nothing here computes with them (formats.md 1.1).
constexpr std::array<Word, 18> kWords = {{{"F64", c10::ScalarType::Double},
    {"F32", c10::ScalarType::Float}, {"F16", c10::ScalarType::Half},
    {"BF16", c10::ScalarType::BFloat16}, {"F8_E4M3", c10::ScalarType::Float8_e4m3fn},
    {"F8_E5M2", c10::ScalarType::Float8_e5m2}, {"F8_E4M3FNUZ", c10::ScalarType::Float8_e4m3fnuz},
    {"F8_E5M2FNUZ", c10::ScalarType::Float8_e5m2fnuz}, {"F8_E8M0", c10::ScalarType::Float8_e8m0fnu},
    {"I64", c10::ScalarType::Long}, {"I32", c10::ScalarType::Int}, {"I16", c10::ScalarType::Short},
    {"I8", c10::ScalarType::Char}, {"U64", c10::ScalarType::UInt64},
    {"U32", c10::ScalarType::UInt32}, {"U16", c10::ScalarType::UInt16},
    {"U8", c10::ScalarType::Byte}, {"BOOL", c10::ScalarType::Bool}}};

} // namespace

std::optional<c10::ScalarType> scalar_type_from(std::string_view safetensors_word)
{
    for (const Word& entry : kWords) {
        if (entry.word == safetensors_word) {
            return entry.type;
        }
    }
    return std::nullopt;
}

std::string_view safetensors_word(c10::ScalarType type)
{
    for (const Word& entry : kWords) {
        if (entry.type == type) {
            return entry.word;
        }
    }
    fail(ErrorCode::Internal, "safetensors has no word for this element type",
        {{"type", c10::toString(type)}});
}

std::vector<std::string> safetensors_words()
{
    std::vector<std::string> words;
    for (const Word& entry : kWords) {
        words.emplace_back(entry.word);
    }
    return words;
}

} // namespace bitsmith::tensor
