// SPDX-License-Identifier: GPL-3.0-or-later
// Fits a description to the names that its checkpoint really uses (models.md 2.4).
#pragma once

#include "base/json_io.h"
#include "model/decoder_spec.h"
#include "tensor/tensor_source.h"

namespace bitsmith::source {

/// Tries the family's prefixes ("model.", "model.language_model.", ...) in order and rewrites
/// `spec.model_names` for the first one under which block 0 is stored. Nothing is renamed in the
/// files: specification, plan and export all speak the checkpoint's own names. Tied weights that are
/// stored as the head's count as the embedding. Leaves `spec` alone
/// when no prefix fits; the check of tensors then names what is missing.
void adopt_checkpoint_names(model::DecoderSpec& spec, const tensor::TensorSource& tensors);

/// The blocks stored must be those of `spec`. More are allowed when config.json announces layers for
/// multi-token prediction (models.md 1.17), which are kept and never run. Throws MissingTensor for
/// fewer, ShapeMismatch for more.
void check_block_count(const model::DecoderSpec& spec, const Json& decoder_config,
    const tensor::TensorSource& tensors);

} // namespace bitsmith::source
