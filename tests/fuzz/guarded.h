// SPDX-License-Identifier: GPL-3.0-or-later
// What the fuzz targets share. A target is one function, LLVMFuzzerTestOneInput; libFuzzer calls it
// with inputs that it makes up, replay.cpp with files.
#pragma once

#include "base/mapped_file.h"
#include "tensor/tensor_source.h"

#include <bitsmith/error.h>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bitsmith::fuzz {

/// Inputs beyond this many bytes say nothing that smaller ones do not.
inline constexpr std::size_t kLargestInput = std::size_t{1} << 16U;

inline std::string_view text_of(std::span<const uint8_t> bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::shared_ptr<const ByteSource> source_of(std::span<const uint8_t> bytes)
{
    const auto all = std::as_bytes(bytes);
    return memory_source({all.begin(), all.end()}, "input");
}

/// Runs `read` on the input. A refusal is what a damaged file deserves; an assertion, any other
/// exception and a crash are findings, and end the process.
template <class Read>
int guarded(const uint8_t* data, std::size_t size, const Read& read)
{
    if (size <= kLargestInput) {
        try {
            read(std::span(data, size));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::Internal) {
                throw;
            }
        }
    }
    return 0;
}

/// Runs `load`; a refusal of one tensor must not keep the others from being read.
template <class Load>
void refusable(const Load& load)
{
    try {
        load();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::Internal) {
            throw;
        }
    }
}

/// Loads every tensor and checks that it has the shape that its entry promises.
inline void load_all(const tensor::TensorSource& tensors)
{
    for (const tensor::TensorEntry& entry : tensors.entries()) {
        refusable([&] { BITSMITH_ASSERT(tensors.load(entry.name).sizes().vec() == entry.shape); });
    }
}

} // namespace bitsmith::fuzz
