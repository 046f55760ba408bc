// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors a compressed-tensors folder holds, in which order and of which type: a pure function
// of model and plan, so that headers can be written before the data and checked after it. Layouts:
// source/compressed_tensors_source.h.
#pragma once

#include "export/folder_format.h"

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
};

using CompressedTensor = FolderTensor<CompressedPart>; ///< source: the layer unless Copy

/// Throws MissingTensor for a planned layer that the model does not have, ShapeMismatch for one whose
/// columns are no whole groups, UnsupportedScheme with the reason of compressed_refusal.
std::vector<CompressedTensor> compressed_layout(const ExportInput& input);

/// Codes as they are stored: offset binary in 32-bit words, signed bytes, E4M3 numbers, or two E2M1
/// codes per byte.
at::Tensor compressed_codes(const quant::QuantizedWeight& weight);
/// Zero points as they are stored: in 32-bit words along the rows, or signed bytes.
at::Tensor compressed_zeros(const quant::QuantizedWeight& weight);

/// Produces the tensors of a layout in its order; keeps the last layer, since its parts follow each
/// other.
class CompressedPacker
{
public:
    explicit CompressedPacker(const ExportInput& input)
        : input_(input)
    { }
    /// Throws ShapeMismatch when stored codes do not have the planned shape, NumericFailure for a
    /// scale that is not finite, MissingTensor for a layer that lacks its largest activation.
    at::Tensor produce(const CompressedTensor& tensor);

private:
    const quant::QuantizedWeight& layer(const std::string& name);

    const ExportInput& input_;
    std::string layer_name_;
    quant::QuantizedWeight layer_;
};

} // namespace bitsmith::exporting
