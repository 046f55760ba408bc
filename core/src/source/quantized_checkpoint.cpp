// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/quantized_checkpoint.h"

#include "base/text.h"
#include "source/auto_round_source.h"
#include "source/awq_source.h"
#include "source/compressed_tensors_source.h"
#include "source/decoded_source.h"
#include "source/fp8_source.h"
#include "source/gptq_source.h"
#include "source/mlx_source.h"
#include "source/mxfp4_source.h"
#include "source/side_file.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

using TensorsPtr = std::shared_ptr<const tensor::TensorSource>;

struct Method
{
    std::string_view word; ///< quant_method, lower case, '_' as '-'
    std::shared_ptr<const DecodedSource> (*open)(const Json& description, TensorsPtr stored);
};

/// The explicit list of methods that can be read.
constexpr std::array kMethods = {
    Method{"auto-round", open_auto_round},
    Method{"intel/auto-round", open_auto_round},
    Method{"compressed-tensors", open_compressed_tensors},
    Method{"gptq", open_gptq},
    Method{"awq", open_awq},
    Method{"fp8", open_fp8},
    Method{"mxfp4", open_mxfp4},
};

/// Files beside config.json that describe the quantization for older tools, and the method they
/// mean when they name none.
struct SeparateFile
{
    const char* name;
    const char* method;
};
constexpr std::array kSeparateFiles = {
    SeparateFile{"quantize_config.json", "gptq"},
    SeparateFile{"quant_config.json", "awq"},
};

/// Removes the quantization's description under any of `fields` and returns it; null when there is
/// none.
Json take_description(Json& config, const std::vector<const char*>& fields)
{
    Json found;
    for (const char* field : fields) {
        const auto at = config.find(field);
        if (at != config.end()) {
            found = found.is_null() ? *at : found;
            config.erase(at);
        }
    }
    for (const char* inner : {"text_config", "thinker_config", "llm_config", "language_config"}) {
        if (config.contains(inner) && config[inner].is_object()) {
            Json nested = take_description(config[inner], fields);
            found = found.is_null() ? std::move(nested) : found;
        }
    }
    return found;
}

std::string method_of(const Json& description)
{
    const auto found =
        description.is_object() ? description.find("quant_method") : description.end();
    if (!description.is_object() || found == description.end() || !found->is_string()) {
        return "unnamed";
    }
    std::string word = lower(found->get<std::string>());
    std::replace(word.begin(), word.end(), '_', '-');
    return word;
}

[[noreturn]] void refuse(const std::filesystem::path& folder, const std::string& method)
{
    std::vector<std::string> known;
    for (const Method& entry : kMethods) {
        known.emplace_back(entry.word);
    }
    fail(ErrorCode::UnsupportedModel,
        "the model is already quantized with a method that is not read",
        {{"folder", folder.string()}, {"field", "quantization_config.quant_method"},
            {"found", printable(method)}, {"allowed", join(known, ", ")}},
        "Take the original model; quantizing twice adds up the errors.");
}

/// What stands beside a config.json without description; null when nothing does.
Json read_separate_file(const std::filesystem::path& folder)
{
    for (const SeparateFile& file : kSeparateFiles) {
        std::error_code error;
        if (std::filesystem::exists(folder / file.name, error)) {
            require_inside(folder, folder / file.name);
            Json description = read_json_file(folder / file.name);
            if (description.is_object() && !description.contains("quant_method")) {
                description["quant_method"] = file.method;
            }
            return description;
        }
    }
    return {};
}

Unquantized opened(const std::shared_ptr<const DecodedSource>& source, std::string_view method)
{
    return {source, std::string(method), source->codes(), source->runtime()};
}

} // namespace

Unquantized open_unquantized(Json& config, const std::filesystem::path& folder, TensorsPtr stored)
{
    // MLX repeats its description under the common name, where it lacks a method.
    const Json mlx = take_description(config, {"quantization"});
    Json description = take_description(config, {"quantization_config", "compression_config"});
    if (!mlx.is_null()) {
        return opened(open_mlx(mlx, std::move(stored)), "mlx");
    }
    if (description.is_null()) {
        description = read_separate_file(folder);
    }
    if (description.is_null()) {
        std::error_code error;
        // ModelOpt writes its description beside config.json only.
        if (std::filesystem::exists(folder / "hf_quant_config.json", error)) {
            refuse(folder, "modelopt");
        }
        return {std::move(stored), {}, {}, {}};
    }
    const std::string method = method_of(description);
    for (const Method& entry : kMethods) {
        if (entry.word == method) {
            return opened(entry.open(description, std::move(stored)), entry.word);
        }
    }
    refuse(folder, method);
}

} // namespace bitsmith::source
