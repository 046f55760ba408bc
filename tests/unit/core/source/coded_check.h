// SPDX-License-Identifier: GPL-3.0-or-later
// Checkpoints of a few tensors in memory, and what has to hold for the codes of every reader.
#pragma once

#include "source/decoded_source.h"
#include "support/export_model.h"
#include "support/same_bits.h"

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

using TensorMap = std::map<std::string, at::Tensor>;

inline std::shared_ptr<bitsmith::test::MemoryTensors> stored_of(const TensorMap& tensors)
{
    auto stored = std::make_shared<bitsmith::test::MemoryTensors>();
    for (const auto& [name, values] : tensors) {
        stored->add(name, values);
    }
    return stored;
}

/// Words as formats.md prints them, [rows, columns].
inline at::Tensor words_of(const std::vector<uint32_t>& words, int64_t rows, int64_t columns)
{
    at::Tensor values = at::empty({static_cast<int64_t>(words.size())}, at::kInt);
    for (std::size_t i = 0; i < words.size(); ++i) {
        values[static_cast<int64_t>(i)] = static_cast<int32_t>(words[i]);
    }
    return values.reshape({rows, columns});
}

inline at::Tensor bytes_of(const std::vector<int64_t>& bytes, int64_t rows, int64_t columns)
{
    return at::tensor(bytes, at::kLong).to(at::kByte).reshape({rows, columns});
}

/// A row vector or, with `rows`, a matrix of fp32 numbers.
inline at::Tensor numbers(const std::vector<float>& values, int64_t rows = 1)
{
    return at::tensor(values, at::kFloat).reshape({rows, -1});
}

/// Empty when every coded layer decodes to the tensor that the source presents, bit for bit.
inline std::string different_layer(const bitsmith::source::DecodedSource& opened)
{
    for (const auto& [name, scheme] : opened.codes()->schemes()) {
        const bitsmith::quant::QuantizedWeight weight = opened.codes()->load(name);
        const at::Tensor decoded = bitsmith::quant::codec_for(scheme).decode(weight);
        if (weight.scheme != scheme || !same_bits(decoded, opened.load(name + ".weight"))) {
            return name;
        }
    }
    return {};
}
