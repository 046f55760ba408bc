// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/hf_folder.h"

#include "base/file_ops.h"
#include "base/sha256.h"
#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::source {

namespace {

std::string read_config_text(const std::filesystem::path& folder)
{
    const std::filesystem::path file = folder / "config.json";
    if (std::filesystem::symlink_status(file).type() == std::filesystem::file_type::not_found) {
        fail(ErrorCode::FileNotFound, "the folder is not a model: config.json is missing",
            {{"folder", folder.string()},
                {"looked for",
                    "config.json with model.safetensors or model.safetensors.index.json"}},
            "Name a Hugging Face model folder, a .gguf file, or a Hub id.");
    }
    require_inside(folder, file);
    std::string text = read_text_file(file, JsonLimits{}.bytes);
    if (text.empty()) {
        fail(ErrorCode::FileCorrupt, "config.json is empty", {{"file", file.string()}},
            "Fetch the file again.");
    }
    return text;
}

} // namespace

std::string fingerprint_of(
    const tensor::TensorSource& tensors, const std::vector<std::string>& more)
{
    Sha256 hash;
    for (const tensor::TensorEntry& entry : tensors.entries()) {
        hash.update(concat(
            entry.name, '\n', entry.dtype, '\n', shape_text(entry.shape), '\n', entry.bytes, '\n'));
    }
    for (const std::string& text : more) {
        // The length in front keeps ("ab", "c") apart from ("a", "bc").
        hash.update(concat(text.size(), '\n'));
        hash.update(text);
    }
    return hash.finish();
}

HfFolder open_hf_folder(const std::filesystem::path& folder)
{
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) {
        fail(ErrorCode::FileNotFound, "no such folder", {{"folder", folder.string()}});
    }
    const std::string text = read_config_text(folder);
    HfFolder model;
    model.config = parse_json(text, (folder / "config.json").string());
    if (!model.config.is_object()) {
        fail(ErrorCode::FileCorrupt, "config.json is not an object",
            {{"file", (folder / "config.json").string()}});
    }
    model.weights = open_hf_weights(folder);
    model.warnings = model.weights.warnings;
    model.side_files = read_side_files(folder, model.warnings);
    std::vector<std::string> identity = {text, model.weights.content_sample};
    for (const auto& [name, size] : model.weights.files) {
        identity.push_back(concat(name, ' ', size));
    }
    model.fingerprint = fingerprint_of(*model.weights.tensors, identity);
    return model;
}

} // namespace bitsmith::source
