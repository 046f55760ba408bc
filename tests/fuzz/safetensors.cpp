// SPDX-License-Identifier: GPL-3.0-or-later
// A safetensors file: header, tiling of the data, every tensor.
#include "guarded.h"
#include "tensor/safetensors_reader.h"

using namespace bitsmith;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    return fuzz::guarded(data, size, [](std::span<const uint8_t> input) {
        fuzz::load_all(tensor::SafetensorsReader(fuzz::source_of(input)));
    });
}
