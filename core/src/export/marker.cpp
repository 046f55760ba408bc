// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/marker.h"

#include "base/text.h"
#include "export/runtime_limits.h"

#include <bitsmith/version.h>

#include <algorithm>
#include <set>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

Json recipe_json(const Recipe& recipe)
{
    Json json = {{"name", recipe.name}, {"iters", recipe.iters}, {"nsamples", recipe.nsamples},
        {"seqlen", recipe.seqlen}, {"batch_size", recipe.batch_size},
        {"gradient_accumulate_steps", recipe.gradient_accumulate_steps},
        {"enable_minmax_tuning", recipe.enable_minmax_tuning},
        {"enable_quanted_input", recipe.enable_quanted_input},
        {"selection", enum_name(recipe.selection)}};
    if (recipe.lr) {
        json["lr"] = *recipe.lr;
    }
    if (recipe.minmax_lr) {
        json["minmax_lr"] = *recipe.minmax_lr;
    }
    return json;
}

Json layers_json(const Plan& plan)
{
    Json layers = Json::array();
    for (const PlannedLayer& layer : plan.layers) {
        layers.push_back({{"name", layer.name},
            {"scheme", layer.scheme.is_quantized() ? scheme_name(layer.scheme) : "keep"},
            {"reason", layer.reason}});
    }
    return layers;
}

std::string checked_file(const fs::path& file, const std::string& name, const Json& expected)
{
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (error) {
        return concat("file ", name, " is listed in ", kMarkerFile, " but missing");
    }
    if (!expected.contains("bytes") || expected["bytes"] != static_cast<int64_t>(size)) {
        return concat("file ", name, " has ", size, " bytes, not the size it was written with");
    }
    if (!expected.contains("sha256") || expected["sha256"] != sha256_file(file)) {
        return concat("file ", name, " has another content than when it was written (SHA-256)");
    }
    return {};
}

} // namespace

std::vector<std::string> files_below(const fs::path& folder)
{
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) {
            names.insert(entry.path().lexically_relative(folder).generic_string());
        }
    }
    return {names.begin(), names.end()};
}

std::string build_marker(const Exporter& exporter, const ExportInput& input, const fs::path& folder)
{
    Json files = Json::object();
    for (const std::string& name : files_below(folder)) {
        files[name] = {{"bytes", static_cast<int64_t>(fs::file_size(folder / name))},
            {"sha256", sha256_file(folder / name)}};
    }
    const ModelInfo& model = input.model.info;
    const Json marker = {{"schema_version", kMarkerSchemaVersion},
        {"program", {{"name", "bitsmith"}, {"version", BITSMITH_VERSION}}},
        {"format", exporter.id()},
        {"model",
            {{"architecture", model.architecture}, {"family", model.family},
                {"fingerprint", model.fingerprint}, {"parameters", model.parameters}}},
        {"scheme", input.spec.scheme.scheme}, {"recipe", recipe_json(input.spec.recipe)},
        {"seed", input.spec.runtime.seed}, {"average_bits", average_bits(input.plan)},
        {"runtimes", loading_runtimes(exporter, input.plan)},
        {"notes", export_notes(exporter, input)}, {"layers", layers_json(input.plan)},
        {"files", files}};
    return marker.dump(2) + "\n";
}

std::optional<std::vector<std::string>> marked_runtimes(const fs::path& exported)
{
    const fs::path file = exported / kMarkerFile;
    if (!fs::is_regular_file(file)) {
        return std::nullopt;
    }
    const Json marker = read_json_file(file);
    const Json runtimes = marker.is_object() ? marker.value("runtimes", Json()) : Json();
    const bool are_texts = runtimes.is_array()
        && std::ranges::all_of(runtimes, [](const Json& runtime) { return runtime.is_string(); });
    return are_texts ? std::optional(runtimes.get<std::vector<std::string>>()) : std::nullopt;
}

std::vector<std::string> check_marker(const fs::path& folder)
{
    const fs::path file = folder / kMarkerFile;
    if (!fs::is_regular_file(file)) {
        return {concat("no ", kMarkerFile, ": the export is unfinished or not of this program")};
    }
    const Json marker = read_json_file(file);
    if (!marker.is_object() || !marker.contains("files") || !marker["files"].is_object()) {
        return {concat(kMarkerFile, " has no list of files")};
    }
    std::vector<std::string> findings;
    for (const auto& [name, expected] : marker["files"].items()) {
        const fs::path relative(name);
        if (relative.is_absolute() || name.find("..") != std::string::npos
            || !expected.is_object()) {
            findings.push_back(concat(kMarkerFile, " names the file '", name, "' wrongly"));
            continue;
        }
        const std::string finding = checked_file(folder / relative, name, expected);
        if (!finding.empty()) {
            findings.push_back(finding);
        }
    }
    for (const std::string& name : files_below(folder)) {
        if (name != kMarkerFile && !marker["files"].contains(name)) {
            findings.push_back(concat("file ", name, " is not listed in ", kMarkerFile));
        }
    }
    return findings;
}

} // namespace bitsmith::exporting
