// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/folder_verify.h"

#include "source/hf_weights.h"
#include "source/model_source.h"
#include "source/quantized_checkpoint.h"
#include "tensor/finite.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bitsmith::exporting {

namespace {

/// Whether both schemes give codes and scales the same meaning.
bool decodes_alike(const Scheme& a, const Scheme& b)
{
    return with_activations_of(a, b) == b;
}

/// Without what is known about inputs.
bool same_parts(const quant::QuantizedWeight& a, const quant::QuantizedWeight& b)
{
    return std::ranges::all_of(quant::kWeightParts, [&](const quant::WeightPart& part) {
        const at::Tensor &left = a.*part.tensor, &right = b.*part.tensor;
        return part.tensor == &quant::QuantizedWeight::input_max
            || (left.defined() == right.defined() && (!left.defined() || same_bytes(left, right)));
    });
}

void add_finite_finding(
    const tensor::TensorSource& tensors, const tensor::TensorEntry& entry, Findings& findings)
{
    constexpr int64_t kNaN = 255; // of E8M0 and UE5M3
    const at::Tensor values = tensors.load(entry.name);
    const bool is_scale =
        entry.dtype == "U8" && (entry.name.ends_with("scale") || entry.name.ends_with("scales"));
    const int64_t count =
        is_scale ? (values == kNaN).sum().item<int64_t>() : tensor::count_non_finite(values);
    if (count > 0) {
        findings.push_back(
            concat("tensor ", entry.name, " has ", count, " values that are NaN or infinite"));
    }
}

/// Of the tensors that `opened` makes its own from; words of codes are left out.
void add_finite_parts(
    const tensor::TensorSource& stored, const tensor::TensorSource& opened, Findings& findings)
{
    for (const tensor::TensorEntry& entry : stored.entries()) {
        const bool is_word = entry.dtype == "I32" || entry.dtype == "U32";
        if (!is_word && opened.find(entry.name) == nullptr) {
            add_finite_finding(stored, entry, findings);
        }
    }
}

} // namespace

bool holds_values(
    const Reopened& folder, const std::string& layer, const quant::QuantizedWeight& weight)
{
    if (folder.codes != nullptr && folder.codes->contains(layer)) {
        const quant::QuantizedWeight found = folder.codes->load(layer);
        if (decodes_alike(found.scheme, weight.scheme) && same_parts(found, weight)) {
            return true;
        }
    }
    return at::equal(
        folder.decoded->load(layer + ".weight"), quant::codec_for(weight.scheme).decode(weight));
}

void add_finite_findings(const tensor::TensorSource& tensors, Findings& findings)
{
    for (const tensor::TensorEntry& entry : tensors.entries()) {
        add_finite_finding(tensors, entry, findings);
    }
}

Findings structure_findings(const std::filesystem::path& model)
{
    Findings findings;
    try {
        const auto opened = source::open_model(model.string())->tensors;
        add_finite_findings(*opened, findings);
        const bool is_packed = std::filesystem::is_directory(model) && findings.empty()
            && read_json_file(model / "config.json").contains("quantization_config");
        if (is_packed) { // scales may be at fault where no value that they make tells it
            add_finite_parts(*source::open_hf_weights(model).tensors, *opened, findings);
        }
    } catch (const Error& error) {
        findings.emplace_back(error.what());
    }
    return findings;
}

Findings verify_folder(const std::filesystem::path& folder, const ExportInput* input,
    const std::function<Findings(const Reopened&)>& compare)
{
    if (input == nullptr) {
        return structure_findings(folder);
    }
    try {
        Json config = read_json_file(folder / "config.json");
        const auto stored = source::open_hf_weights(folder).tensors;
        const source::Unquantized opened = source::open_unquantized(config, folder, stored);
        return compare({quantization_of(folder), stored, opened.tensors, opened.codes});
    } catch (const Error& error) {
        return {error.what()};
    }
}

} // namespace bitsmith::exporting
