// SPDX-License-Identifier: GPL-3.0-or-later
// The quantized layers of an export as the formats fake, fp8 and mlx need them.
#pragma once

#include "base/text.h"
#include "export/folder_format.h"

#include <c10/core/ScalarType.h>

#include <string>

namespace bitsmith::exporting {

/// Loads quantized layers; keeps the last one, since the tensors of a layer follow each other.
class PlannedWeights
{
public:
    explicit PlannedWeights(const ExportInput& input)
        : input_(input)
    { }
    /// Throws ShapeMismatch when the codes do not have the planned scheme and shape, NumericFailure
    /// for a scale that is not finite.
    const quant::QuantizedWeight& load(const std::string& layer);

private:
    const ExportInput& input_;
    std::string name_;
    quant::QuantizedWeight weight_;
};

/// Element type that the layer's weight has in the source, or the model's where that is no floating
/// point type of 16 bits or more: fp16, bf16 or fp32.
c10::ScalarType value_type(const source::ModelSource& model, const PlannedLayer& layer);
/// The same of a tensor by name.
c10::ScalarType value_type(const source::ModelSource& model, const std::string& tensor);

/// `values` as `type`; throws NumericFailure naming the layer when one is not finite afterwards.
at::Tensor finite_as(const at::Tensor& values, c10::ScalarType type, const std::string& layer);

/// fp32 [1]: the largest magnitude of the layer's inputs in calibration. Throws MissingTensor where it
/// is not known.
at::Tensor largest_input(const quant::QuantizedWeight& weight, const std::string& layer);
/// fp32 [1]: the scale that FP8 activations of this layer are rounded with. Throws likewise.
at::Tensor input_scale(const quant::QuantizedWeight& weight, const std::string& layer);

/// Findings about tensors of a folder that are not, bit for bit, what `packer` produces.
template <class Part, class Packer>
std::vector<std::string> byte_findings(const tensor::TensorSource& stored,
    const std::vector<FolderTensor<Part>>& layout, Packer& packer)
{
    std::vector<std::string> findings;
    for (const FolderTensor<Part>& tensor : layout) {
        if (!same_bytes(stored.load(tensor.name), packer.produce(tensor))) {
            findings.push_back(concat("tensor ", tensor.name, " differs from ",
                tensor.part == Part::Copy ? "the source" : "its tuned values"));
        }
    }
    return findings;
}

} // namespace bitsmith::exporting
