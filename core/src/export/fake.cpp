// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/fake.h"

#include "base/text.h"
#include "export/config_writer.h"
#include "export/folder_verify.h"
#include "export/marker.h"
#include "export/planned_weights.h"
#include "quant/row_slices.h"
#include "source/hf_weights.h"

#include <ATen/ATen.h>

#include <set>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kBytesPerTensor = 256; ///< its line in the header

enum class FakePart
{
    Copy,
    Decoded, ///< the weight of a quantized layer
};

using FakeTensor = FolderTensor<FakePart>; ///< source: the layer for Decoded

std::vector<FakeTensor> fake_layout(const ExportInput& input)
{
    return folder_layout<FakePart>(
        input, [&](std::vector<FakeTensor>& layout, const PlannedLayer& layer) {
            layout.push_back({layer.name + ".weight", FakePart::Decoded, layer.name,
                {layer.rows, layer.columns}, value_type(input.model, layer)});
        });
}

class FakePacker
{
public:
    explicit FakePacker(const ExportInput& input)
        : input_(input)
        , weights_(input)
    { }
    /// Throws what PlannedWeights::load throws, NumericFailure for a value beyond the element type.
    at::Tensor produce(const FakeTensor& tensor)
    {
        if (tensor.part == FakePart::Copy) {
            return input_.model.tensors->load(tensor.source).to(tensor.type);
        }
        const quant::QuantizedWeight& weight = weights_.load(tensor.source);
        at::Tensor decoded = at::empty(tensor.shape, tensor.type);
        quant::decode_by_rows(weight, [&](int64_t first, const at::Tensor& values) {
            decoded.narrow(0, first, values.size(0))
                .copy_(finite_as(values, tensor.type, tensor.source));
        });
        return decoded;
    }

private:
    const ExportInput& input_;
    PlannedWeights weights_;
};

} // namespace

FormatInfo FakeExporter::info() const
{
    return {"fake", "Decoded weights (any runtime)", "every scheme, at the size of the source",
        "folder: config.json, safetensors shards without packed layers, tokenizer and side files",
        {"transformers", "vLLM", "SGLang"}};
}

std::string FakeExporter::refusal(const Scheme&) const
{
    return {};
}

bool FakeExporter::recognizes(const fs::path& exported) const
{
    if (!fs::is_regular_file(exported / kMarkerFile)) {
        return false;
    }
    const Json marker = read_json_file(exported / kMarkerFile);
    return marker.is_object() && marker.contains("format") && marker["format"] == id();
}

int64_t FakeExporter::estimate_bytes(const ExportInput& input) const
{
    return folder_bytes(input, entries_of(fake_layout(input)), kBytesPerTensor);
}

std::vector<std::string> FakeExporter::notes(const ExportInput& input) const
{
    std::vector<std::string> notes = folder_notes(input);
    std::set<std::string> rounded;
    for (const FakeTensor& tensor : fake_layout(input)) {
        if (tensor.part == FakePart::Decoded && tensor.type != at::kFloat) {
            rounded.insert(at::toString(tensor.type));
        }
    }
    if (!rounded.empty()) {
        notes.push_back(concat("decoded weights are rounded to ",
            join({rounded.begin(), rounded.end()}, " or "),
            ", the element type of the source: codes cannot be recovered from them."));
    }
    const bool rounds_inputs = std::any_of(input.plan.layers.begin(), input.plan.layers.end(),
        [](const PlannedLayer& layer) { return layer.scheme.quantizes_activations(); });
    if (rounds_inputs) {
        notes.emplace_back("the rounding of activations is not represented: runtimes compute with "
                           "activations as they are.");
    }
    return notes;
}

CardText FakeExporter::card_text(const ExportInput& input) const
{
    return {"transformers",
        concat("With transformers:\n\n", transformers_example(model_name(input.model)))};
}

void FakeExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    FakePacker packer(input);
    write_tensors(context, fs, input, folder, fake_layout(input), packer);
    write_other_files(fs, *this, input, folder, nullptr);
}

std::vector<std::string> FakeExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    if (input == nullptr) {
        return structure_findings(folder);
    }
    std::vector<std::string> findings;
    try {
        const auto stored = source::open_hf_weights(folder).tensors;
        const std::vector<FakeTensor> layout = fake_layout(*input);
        findings = coverage_findings(*stored, entries_of(layout));
        if (read_json_file(folder / "config.json").contains("quantization_config")) {
            findings.emplace_back("config.json describes plain weights as quantized");
        }
        if (findings.empty()) {
            FakePacker packer(*input);
            findings = byte_findings(*stored, layout, packer);
        }
    } catch (const Error& error) {
        findings.emplace_back(error.what());
    }
    return findings;
}

} // namespace bitsmith::exporting
