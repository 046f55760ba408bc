// SPDX-License-Identifier: GPL-3.0-or-later
// Tunes a single layer outside the blocks, such as lm_head. Source: algorithm.md 1.15.
#pragma once

#include "tune/block_tuner.h"

namespace bitsmith::tune {

/// Quantizes `linear` as `planned` says and replaces its weight. `inputs` are the layer's own
/// inputs (for lm_head: hidden states after the final norm); without tensors, or with recipe.iters
/// == 0, the layer is rounded. The loss is the mean squared error of the layer's output (logits);
/// outputs of the original are computed again every step, one sample at a time, because they are
/// too large to keep. Emits IterationDone with block -1, and LayerFinished. Throws as tune_block
/// does.
FinishedLayer tune_layer(RunContext& context, model::Linear& linear, const BlockInputs& inputs,
    const PlannedLayer& planned, const Recipe& recipe);

} // namespace bitsmith::tune
