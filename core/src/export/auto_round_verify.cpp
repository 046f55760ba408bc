// SPDX-License-Identifier: GPL-3.0-or-later
// Re-opening of an auto_round folder.
#include "base/text.h"
#include "export/auto_round.h"
#include "export/auto_round_layout.h"
#include "source/auto_round_source.h"
#include "source/hf_weights.h"
#include "source/model_source.h"

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

using Findings = std::vector<std::string>;

/// Every layer decodes to what the codec says, every other tensor is the source's.
void check_values(const tensor::TensorSource& stored, const tensor::TensorSource& decoded,
    const ExportInput& input, const AutoRoundLayout& layout, Findings& findings)
{
    for (const AutoRoundTensor& tensor : layout.tensors) {
        if (tensor.part == AutoRoundPart::Codes) {
            const quant::QuantizedWeight weight = input.layers.load(tensor.source);
            const at::Tensor expected = quant::codec_for(weight.scheme).decode(weight);
            if (!at::equal(decoded.load(tensor.source + ".weight"), expected)) {
                findings.push_back(
                    concat("layer ", tensor.source, " does not decode to its tuned values"));
            }
        } else if (tensor.part == AutoRoundPart::Copy || tensor.part == AutoRoundPart::Bias) {
            const at::Tensor expected = input.model.tensors->load(tensor.source).to(tensor.type);
            if (!same_bytes(stored.load(tensor.name), expected)) {
                findings.push_back(concat("tensor ", tensor.name, " differs from the source"));
            }
        }
    }
}

} // namespace

std::vector<std::string> AutoRoundExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    Findings findings;
    try {
        const auto stored = source::open_hf_weights(folder).tensors;
        const auto decoded = source::open_auto_round(quantization_of(folder), stored);
        if (input == nullptr) {
            // Opening as a model checks every tensor that the configuration implies, by shape.
            source::open_model(folder.string());
            return findings;
        }
        const AutoRoundLayout layout = auto_round_layout(*input);
        findings = coverage_findings(*stored, entries_of(layout.tensors));
        if (findings.empty()) {
            check_values(*stored, *decoded, *input, layout, findings);
        }
    } catch (const Error& error) {
        findings.emplace_back(error.what());
    }
    return findings;
}

} // namespace bitsmith::exporting
