// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/config_writer.h"

#include "base/text.h"

#include <bitsmith/version.h>

#include <array>
#include <map>
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

std::string layer_summary(const Plan& plan)
{
    std::map<std::string, int64_t> counts;
    for (const PlannedLayer& layer : plan.layers) {
        ++counts[layer.scheme.is_quantized() ? scheme_name(layer.scheme) : "kept as they are"];
    }
    std::string text;
    for (const auto& [name, count] : counts) {
        text += concat("| ", name, " | ", count, " |\n");
    }
    return text;
}

/// Empty when nothing was measured.
std::string measured_table(const EvalReport& report)
{
    const auto row = [](const char* measure, const std::optional<double>& value) {
        return value ? concat("| ", measure, " | ", *value, " |\n") : std::string();
    };
    const std::string rows = concat(row("perplexity", report.ppl),
        row("perplexity of the original", report.ppl_reference),
        row("KL divergence from the original, mean, nats per token", report.kld_mean),
        row("KL divergence, 99th percentile", report.kld_p99),
        row("share of tokens with the same most likely next token", report.top1_agreement));
    return rows.empty() ? rows
                        : concat("Measured on ", report.tokens, " tokens:\n\n",
                            "| measure | value |\n|---|---|\n", rows, "\n");
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

std::string source_license(const source::ModelSource& model)
{
    for (const source::SideFile& side : model.side_files) {
        if (side.name != "README.md" || !side.bytes.starts_with("---")) {
            continue;
        }
        const std::string front = side.bytes.substr(0, side.bytes.find("\n---", 3));
        for (const std::string& line : split(front, '\n')) {
            if (line.starts_with("license:")) {
                const auto words = split(line.substr(8), ' ');
                return words.empty() ? std::string() : words.front();
            }
        }
    }
    return {};
}

std::string model_card(const ExportInput& input, const Exporter& exporter)
{
    const CardText text = exporter.card_text(input);
    const std::string name = model_name(input.model);
    const std::string license = source_license(input.model);
    std::string card = "---\n";
    card += license.empty() ? "" : concat("license: ", license, "\n");
    card += concat("library_name: ", text.library, "\ntags:\n- quantized\n- ", exporter.id(),
        "\n---\n\n# ", name, ", ", input.spec.scheme.scheme, "\n\n");
    const bool is_converted = input.spec.recipe.name == kNoRecipe;
    const std::string recipe = is_converted ? ""
                                            : concat(", recipe ", input.spec.recipe.name, " (",
                                                input.spec.recipe.iters, " steps per block)");
    card += concat("The weights of **", name, "** (", input.model.info.architecture, "), ",
        is_converted ? "converted" : "quantized", " by Bitsmith ", BITSMITH_VERSION,
        " in the format `", exporter.id(), "`: scheme ", input.spec.scheme.scheme, recipe, ", ",
        average_bits(input.plan), " bits per weight of the blocks on average.\n\n");
    card += concat("| scheme | layers |\n|---|---|\n", layer_summary(input.plan), "\n");
    card += input.measured != nullptr ? measured_table(*input.measured) : "";
    const std::vector<std::string> notes = exporter.notes(input);
    if (!notes.empty()) {
        card += concat("Notes:\n\n- ", join(notes, "\n- "), "\n\n");
    }
    card += concat("## Loading\n\n", text.how_to_load, "\n\n`", "bitsmith.json",
        "` lists every layer's scheme and the SHA-256 of every file; `bitsmith-cli verify .` checks"
        " them.\n");
    return card;
}

} // namespace bitsmith::exporting
