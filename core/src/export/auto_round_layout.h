// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors an auto_round folder holds, in which order and of which type: a pure function of
// model and plan, so that headers can be written before the data and checked after it.
#pragma once

#include "export/folder_format.h"
#include "tensor/bit_pack.h"

#include <string>
#include <vector>

namespace bitsmith::exporting {

enum class AutoRoundPart
{
    Copy, ///< a tensor of the source
    Codes,
    Zeros,
    Scales,
    Bias, ///< of a quantized layer: fp16
};

using AutoRoundTensor = FolderTensor<AutoRoundPart>; ///< source: the tensor for Copy and Bias

struct AutoRoundLayout
{
    std::vector<AutoRoundTensor> tensors;
    tensor::ZeroOffset offset = tensor::ZeroOffset::MinusOne;
};

/// Throws MissingTensor for a planned layer that the model does not have, ShapeMismatch for one
/// whose sides are not multiples of 32.
AutoRoundLayout auto_round_layout(const ExportInput& input);

/// Produces the tensors of a layout in its order; keeps the last layer, since its parts follow each
/// other.
class AutoRoundPacker
{
public:
    AutoRoundPacker(const ExportInput& input, const AutoRoundLayout& layout)
        : input_(input)
        , layout_(layout)
    { }
    /// Throws ShapeMismatch when stored codes do not have the planned shape, NumericFailure for a
    /// scale that is not finite.
    at::Tensor produce(const AutoRoundTensor& tensor);

private:
    const quant::QuantizedWeight& layer(const std::string& name);

    const ExportInput& input_;
    const AutoRoundLayout& layout_;
    std::string layer_name_;
    quant::QuantizedWeight layer_;
};

} // namespace bitsmith::exporting
