// SPDX-License-Identifier: GPL-3.0-or-later
// Refuses what the decoder cannot run, so that a description is never run wrongly.
#pragma once

#include "model/decoder_spec.h"
#include "tensor/tensor_source.h"

namespace bitsmith::model {

/// Throws UnsupportedModel naming the axis of models.md that is not implemented; InvalidSpec for
/// numbers that contradict each other.
void check_spec(const DecoderSpec& spec);

/// Settles what only the files can tell: the storage of experts, and whether the head is tied. A
/// head that is absent is tied; one that is present and differs from the embedding is used,
/// whatever the flag said (models.md 1.1).
void resolve_from_tensors(DecoderSpec& spec, const tensor::TensorSource& tensors);

/// Throws MissingTensor or ShapeMismatch for the first tensor that is absent or of another shape;
/// for one of a block with the sizes in config.json that its shape follows from.
/// The embedding may have more rows than the vocabulary.
void check_tensors(const DecoderSpec& spec, const tensor::TensorSource& tensors);

/// Names of the tensors outside the blocks: embedding, final norm, head unless tied.
std::vector<std::string> outer_tensor_names(const DecoderSpec& spec);

} // namespace bitsmith::model
