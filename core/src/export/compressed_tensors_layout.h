// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors a compressed-tensors folder holds, in which order and of which type: a pure function
// of model and plan, so that headers can be written before the data and checked after it. Layouts:
// source/compressed_tensors_source.h.
#pragma once

#include "export/planned_weights.h"

#include <string>
#include <vector>

namespace bitsmith::exporting {

enum class CompressedPart
{
    Copy, ///< a tensor of the source
    Codes, ///< "weight" or "weight_packed"; the first tensor of a layer
    Scale,
    Zeros,
    Shape,
    GlobalScale, ///< divisor of the scales
    InputScale, ///< of static activations
    InputGlobalScale, ///< divisor of the scales of activations
    KeyScale, ///< of the cache; source: the number of the block
    ValueScale,
};

using CompressedTensor =
    FolderTensor<CompressedPart>; ///< source: the layer where nothing else is said

/// Empty: readers split the rows of the layer into whole groups; only tiles may be cut off at the
/// edges. Otherwise the reason in one sentence.
std::string compressed_shape_refusal(const PlannedLayer& layer);
/// Tensors of one layer of integers, or of any other numbers of 4 or 8 bits; auto_round stores the
/// latter alike. Throws ShapeMismatch where columns are no whole groups.
std::vector<CompressedTensor> compressed_layer(const PlannedLayer& layer);
/// Tensors of a folder. Throws MissingTensor for a planned layer that the model does not have,
/// UnsupportedScheme with the reason of compressed_refusal, and as compressed_layer does.
std::vector<CompressedTensor> compressed_layout(const ExportInput& input);

/// Codes as they are stored: offset binary in 32-bit words, signed bytes, E4M3 numbers, or two codes of
/// 4 bits per byte.
at::Tensor compressed_codes(const quant::QuantizedWeight& weight);
/// Zero points as they are stored: in 32-bit words along the rows, or signed bytes.
at::Tensor compressed_zeros(const quant::QuantizedWeight& weight);

/// Produces the tensors of a layout in its order.
class CompressedPacker
{
public:
    explicit CompressedPacker(const ExportInput& input)
        : input_(input)
        , weights_(input)
    { }
    /// Throws what PlannedWeights::load throws, MissingTensor for a layer that lacks its largest
    /// activation.
    at::Tensor produce(const CompressedTensor& tensor);
    /// The tuned codes of a layer, until the next call; throws what PlannedWeights::load throws.
    const quant::QuantizedWeight& weight(const std::string& layer) { return weights_.load(layer); }

private:
    const ExportInput& input_;
    PlannedWeights weights_;
};

} // namespace bitsmith::exporting
