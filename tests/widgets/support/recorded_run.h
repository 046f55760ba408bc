// SPDX-License-Identifier: GPL-3.0-or-later
// A scripted run: the events of a whole job with plausible numbers, made without a model. For tests
// of the window and, until a recording of the demo run replaces it, for its pictures.
#pragma once

#include <bitsmith/event.h>

#include <vector>

namespace bitsmith::testing {

struct RunScript
{
    int64_t blocks = 30;
    int64_t iters = 50;
    int64_t resumedBlocks = 0; ///< first blocks, taken from an earlier start
    bool finish = true; ///< false: the events end in the middle of the last block
    int64_t startMs = 1763722800000; ///< 2025-11-21 11:00 UTC
    uint64_t seed = 42;
};

/// Seven layers per block as in the Llama family; the same script gives the same events.
std::vector<Event> scriptedRun(const RunScript& script = {});

} // namespace bitsmith::testing
