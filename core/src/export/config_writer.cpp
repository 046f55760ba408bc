// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/config_writer.h"

#include "base/text.h"
#include "source/hub_snapshot.h"

#include <array>
#include <set>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr std::array kElementTypeKeys = {"torch_dtype", "dtype"};

/// Written by the export itself, or about the source's own weights.
const std::set<std::string>& own_files()
{
    static const std::set<std::string> names = {"config.json", "README.md", "bitsmith.json",
        "quantization_config.json", "quantize_config.json", "quant_config.json",
        "hf_quant_config.json", "recipe.yaml"};
    return names;
}

bool is_weight_file(const std::string& name)
{
    constexpr std::array<std::string_view, 7> endings = {
        ".safetensors", ".bin", ".pth", ".pt", ".gguf", ".index.json", ".ckpt"};
    return std::any_of(endings.begin(), endings.end(),
        [&](std::string_view ending) { return name.ends_with(ending); });
}

std::string dtype_word(const Json& config)
{
    for (const char* key : kElementTypeKeys) {
        if (config.contains(key) && config[key].is_string()) {
            return config[key].get<std::string>();
        }
    }
    return config.contains("text_config") && config["text_config"].is_object()
        ? dtype_word(config["text_config"])
        : std::string();
}

void untie_embeddings(Json& config)
{
    config["tie_word_embeddings"] = false;
    if (config.contains("text_config") && config["text_config"].is_object()) {
        config["text_config"]["tie_word_embeddings"] = false;
    }
}

} // namespace

c10::ScalarType float_type(const source::ModelSource& model)
{
    const std::string word = dtype_word(model.config);
    if (word == "float16" || word == "half") {
        return at::kHalf;
    }
    return word == "float32" || word == "float" ? at::kFloat : at::kBFloat16;
}

Json exported_config(const source::ModelSource& model, const Json& quantization, bool untie)
{
    Json config = model.config;
    config.erase("quantization_config");
    if (config.contains("text_config") && config["text_config"].is_object()) {
        config["text_config"].erase("quantization_config");
    }
    const std::string word = dtype_word(config);
    config["torch_dtype"] = word.empty() ? "bfloat16" : word;
    if (untie) {
        untie_embeddings(config);
    }
    if (!quantization.is_null()) {
        config["quantization_config"] = quantization;
    }
    return config;
}

void set_element_type(Json& config, std::string_view dtype)
{
    for (const char* key : kElementTypeKeys) {
        if (config.contains(key)) {
            config[key] = dtype;
        }
    }
    if (config.contains("text_config") && config["text_config"].is_object()) {
        set_element_type(config["text_config"], dtype);
    }
}

void write_text(FileSystem& fs, const fs::path& file, std::string_view text)
{
    const auto sink = fs.create(file);
    sink->write(std::as_bytes(std::span(text.data(), text.size())));
    sink->finish();
}

void write_side_files(FileSystem& fs, const source::ModelSource& model, const fs::path& folder)
{
    for (const source::SideFile& side : model.side_files) {
        if (own_files().contains(side.name) || is_weight_file(side.name)) {
            continue;
        }
        fs::path file = folder;
        for (const std::string& part : split(side.name, '/')) {
            if (!is_safe_file_name(part)) {
                fail(ErrorCode::FileCorrupt, "a side file's name leaves the folder",
                    {{"found", side.name}});
            }
            file /= part;
        }
        if (file.parent_path() != folder) {
            fs.create_folders(file.parent_path());
        }
        write_text(fs, file, side.bytes);
    }
}

std::string model_name(const source::ModelSource& model)
{
    fs::path path(model.path);
    if (!path.has_filename()) {
        path = path.parent_path();
    }
    // The folder of a download is named after its commit.
    if (const std::string repository = source::hub_repository(path); !repository.empty()) {
        path = repository;
    }
    std::string name = path.filename().string();
    if (name.ends_with(".gguf")) {
        name.resize(name.size() - 5);
        // "Name.Q4_1" and "Name-Q4_1": the type of the source says nothing about the export.
        const std::size_t cut = name.find_last_of(".-");
        const std::string last = cut == std::string::npos ? "" : lower(name.substr(cut + 1));
        const bool is_type = last == "f16" || last == "bf16" || last == "f32"
            || (last.size() > 1 && last[0] == 'q' && std::isdigit(last[1]) != 0);
        if (is_type) {
            name.resize(cut);
        }
    }
    std::replace(name.begin(), name.end(), ' ', '-');
    return name.empty() ? "model" : name;
}

} // namespace bitsmith::exporting
