// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/model_source.h"

#include "base/text.h"
#include "hf/hub.h"
#include "source/complete_model.h"
#include "source/gguf_source.h"
#include "source/hf_folder.h"
#include "source/quantized_checkpoint.h"

#include <bitsmith/error.h>

#include <array>

namespace bitsmith::source {

namespace {

namespace fs = std::filesystem;

std::shared_ptr<ModelSource> open_folder(const fs::path& path)
{
    HfFolder folder = open_hf_folder(path);
    auto model = std::make_shared<ModelSource>();
    model->kind = "folder";
    model->config = std::move(folder.config);
    Unquantized weights = open_unquantized(model->config, path, folder.weights.tensors);
    model->tensors = std::move(weights.tensors);
    model->coded = std::move(weights.codes);
    model->runtime = std::move(weights.runtime);
    model->side_files = std::move(folder.side_files);
    model->info.quantization = std::move(weights.method);
    model->info.fingerprint = std::move(folder.fingerprint);
    model->info.warnings = std::move(folder.warnings);
    return model;
}

struct Opener
{
    bool (*takes)(const fs::path& path);
    std::shared_ptr<ModelSource> (*open)(const fs::path& path);
};

/// The explicit list of kinds of models, tried in order.
constexpr std::array kOpeners = {
    Opener{[](const fs::path& path) { return fs::is_directory(path); }, open_folder},
    Opener{is_gguf_file, open_gguf},
};

} // namespace

std::filesystem::path resolve_model_path(const std::string& name)
{
    std::error_code error;
    if (fs::exists(name, error)) {
        return name;
    }
    if (const std::optional<hf::HubRequest> named = hf::parse_hub_name(name)) {
        hf::HubRequest request = *named;
        request.patterns = hf::model_file_patterns();
        return hf::fetch_snapshot(request);
    }
    fail(ErrorCode::FileNotFound, "there is no such model",
        {{"found", printable(name)},
            {"allowed", "a model folder, a .gguf file, or a Hub id such as org/name"}});
}

std::shared_ptr<const ModelSource> open_model(const std::string& path)
{
    const fs::path resolved = resolve_model_path(path);
    for (const Opener& opener : kOpeners) {
        if (!opener.takes(resolved)) {
            continue;
        }
        const std::shared_ptr<ModelSource> model = opener.open(resolved);
        model->path = resolved.string();
        model->info.path = path;
        complete_model(*model);
        return model;
    }
    fail(ErrorCode::UnsupportedModel, "this file is not a model of a kind that can be read",
        {{"file", resolved.string()}, {"allowed", "a model folder or a .gguf file"}},
        "For safetensors name the folder that also holds config.json.");
}

hf::TextSide ModelSource::load_text() const
{
    std::map<std::string, std::string> files = {{"config.json", config.dump()}};
    for (const SideFile& file : side_files) {
        files.emplace(file.name, file.bytes);
    }
    return hf::load_text_side(files, path);
}

} // namespace bitsmith::source
