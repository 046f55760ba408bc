// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/folder_verify.h"

#include "source/hf_weights.h"
#include "source/model_source.h"
#include "source/quantized_checkpoint.h"

namespace bitsmith::exporting {

Findings verify_folder(const std::filesystem::path& folder, const ExportInput* input,
    const std::function<Findings(const Reopened&)>& compare)
{
    try {
        if (input == nullptr) {
            source::open_model(folder.string());
            return {};
        }
        Json config = read_json_file(folder / "config.json");
        Reopened opened{quantization_of(folder), source::open_hf_weights(folder).tensors, nullptr};
        opened.decoded = source::open_unquantized(config, folder, opened.stored).tensors;
        return compare(opened);
    } catch (const Error& error) {
        return {error.what()};
    }
}

} // namespace bitsmith::exporting
