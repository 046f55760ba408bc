// SPDX-License-Identifier: GPL-3.0-or-later
// Re-opening of a compressed-tensors folder.
#include "base/text.h"
#include "export/compressed_tensors.h"
#include "export/compressed_tensors_config.h"
#include "export/compressed_tensors_layout.h"
#include "export/folder_verify.h"
#include "source/compressed_tensors_source.h"
#include "source/hf_weights.h"

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

/// Every layer decodes to what the codec says. What does not show in the weight - scales of
/// activations, and the tensors of the source - is compared as it is stored.
void check_values(const tensor::TensorSource& stored, const tensor::TensorSource& decoded,
    const ExportInput& input, const std::vector<CompressedTensor>& layout, Findings& findings)
{
    CompressedPacker packer(input);
    for (const CompressedTensor& tensor : layout) {
        if (tensor.part == CompressedPart::Codes) {
            const quant::QuantizedWeight weight = input.layers.load(tensor.source);
            const at::Tensor expected = quant::codec_for(weight.scheme).decode(weight);
            if (!at::equal(decoded.load(tensor.source + ".weight"), expected)) {
                findings.push_back(
                    concat("layer ", tensor.source, " does not decode to its tuned values"));
            }
        } else if (tensor.part == CompressedPart::Copy || tensor.part == CompressedPart::InputScale
            || tensor.part == CompressedPart::InputGlobalScale
            || tensor.part == CompressedPart::KeyScale
            || tensor.part == CompressedPart::ValueScale) {
            if (!same_bytes(stored.load(tensor.name), packer.produce(tensor))) {
                findings.push_back(concat("tensor ", tensor.name, " differs from ",
                    tensor.part == CompressedPart::Copy ? "the source" : "its calibration"));
            }
        }
    }
}

} // namespace

std::vector<std::string> CompressedTensorsExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    if (input == nullptr) {
        return structure_findings(folder);
    }
    Findings findings;
    try {
        const Json quantization = quantization_of(folder);
        const auto stored = source::open_hf_weights(folder).tensors;
        const auto decoded = source::open_compressed_tensors(quantization, stored);
        if (quantization != compressed_tensors_config(*input)) {
            findings.emplace_back("config.json describes other groups than the plan has");
        }
        const std::vector<CompressedTensor> layout = compressed_layout(*input);
        const Findings missing = coverage_findings(*stored, entries_of(layout));
        findings.insert(findings.end(), missing.begin(), missing.end());
        if (findings.empty()) {
            check_values(*stored, *decoded, *input, layout, findings);
        }
    } catch (const Error& error) {
        findings.emplace_back(error.what());
    }
    return findings;
}

} // namespace bitsmith::exporting
