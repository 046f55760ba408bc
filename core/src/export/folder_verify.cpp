// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/folder_verify.h"

#include "source/hf_weights.h"
#include "source/model_source.h"
#include "source/quantized_checkpoint.h"
#include "tensor/finite.h"

namespace bitsmith::exporting {

Findings finite_findings(const tensor::TensorSource& tensors)
{
    Findings findings;
    for (const tensor::TensorEntry& entry : tensors.entries()) {
        if (const int64_t count = tensor::count_non_finite(tensors.load(entry.name)); count > 0) {
            findings.push_back(
                concat("tensor ", entry.name, " has ", count, " values that are NaN or infinite"));
        }
    }
    return findings;
}

Findings structure_findings(const std::filesystem::path& model)
{
    try {
        return finite_findings(*source::open_model(model.string())->tensors);
    } catch (const Error& error) {
        return {error.what()};
    }
}

Findings verify_folder(const std::filesystem::path& folder, const ExportInput* input,
    const std::function<Findings(const Reopened&)>& compare)
{
    if (input == nullptr) {
        return structure_findings(folder);
    }
    try {
        Json config = read_json_file(folder / "config.json");
        Reopened opened{quantization_of(folder), source::open_hf_weights(folder).tensors, nullptr};
        opened.decoded = source::open_unquantized(config, folder, opened.stored).tensors;
        return compare(opened);
    } catch (const Error& error) {
        return {error.what()};
    }
}

} // namespace bitsmith::exporting
