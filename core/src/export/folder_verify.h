// SPDX-License-Identifier: GPL-3.0-or-later
// Re-opening of an exported Hugging Face folder, as any reader would, and its comparison with the run.
#pragma once

#include "base/text.h"
#include "export/folder_format.h"
#include "source/coded_layers.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bitsmith::exporting {

using Findings = std::vector<std::string>;

struct Reopened
{
    Json quantization; ///< of config.json
    std::shared_ptr<const tensor::TensorSource> stored; ///< tensors as they lie in the files
    std::shared_ptr<const tensor::TensorSource> decoded; ///< layers as "P.weight", fp32
    std::shared_ptr<const source::CodedLayers> codes; ///< of those that a codec holds; can be null
};

/// Whether a layer of the folder has the values of `weight`: the same codes and scales, or others
/// that decode to the same.
bool holds_values(
    const Reopened& folder, const std::string& layer, const quant::QuantizedWeight& weight);

/// Tensors with values that are NaN or infinite, scales in a byte included.
void add_finite_findings(const tensor::TensorSource& tensors, Findings& findings);

/// What has to hold of a folder or GGUF file whoever wrote it, as far as it can be told without its
/// original (formats.md 11): files, configuration and metadata can be read, every tensor that they
/// imply is there in its type and shape, every layer decodes, to finite numbers. Errors become
/// findings.
Findings structure_findings(const std::filesystem::path& model);

/// Opens `folder`. With an input `compare` says what differs from it; without one
/// structure_findings. Errors become findings.
Findings verify_folder(const std::filesystem::path& folder, const ExportInput* input,
    const std::function<Findings(const Reopened&)>& compare);

/// Every layer decodes to what the codec says; every other tensor, scales included, is what `packer`
/// produces now. The codes of a layer are its part `Codes`; `packer.weight(layer)` has the tuned ones.
template <class Part, class Packer>
Findings value_findings(
    const Reopened& folder, const std::vector<FolderTensor<Part>>& layout, Packer& packer)
{
    Findings findings;
    for (const FolderTensor<Part>& tensor : layout) {
        if (tensor.part == Part::Codes) {
            if (!holds_values(folder, tensor.source, packer.weight(tensor.source))) {
                findings.push_back(
                    concat("layer ", tensor.source, " does not decode to its tuned values"));
            }
        } else if (!same_bytes(folder.stored->load(tensor.name), packer.produce(tensor))) {
            findings.push_back(concat("tensor ", tensor.name, " differs from ",
                tensor.part == Part::Copy ? "the source" : "the run"));
        }
    }
    return findings;
}

/// The configuration, names, types and shapes, and where these are right the values.
template <class Part, class Packer>
Findings compare_folder(const Reopened& folder, const Json& quantization,
    const std::vector<FolderTensor<Part>>& layout, Packer& packer)
{
    Findings findings = coverage_findings(*folder.stored, entries_of(layout));
    if (folder.quantization != quantization) {
        findings.emplace_back("config.json describes the layers otherwise than the plan");
    }
    return findings.empty() ? value_findings(folder, layout, packer) : findings;
}

} // namespace bitsmith::exporting
