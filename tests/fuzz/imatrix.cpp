// SPDX-License-Identifier: GPL-3.0-or-later
// An importance matrix of llama.cpp, both forms.
#include "calib/imatrix.h"

#include "guarded.h"

#include <ATen/ATen.h>

using namespace bitsmith;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    return fuzz::guarded(data, size, [](std::span<const uint8_t> input) {
        for (const auto& [name, squares] : calib::read_imatrix(fuzz::source_of(input)).weights) {
            BITSMITH_ASSERT(squares.sums.numel() % squares.counts.numel() == 0);
            BITSMITH_ASSERT(at::isfinite(squares.sums).all().item<bool>());
        }
    });
}
