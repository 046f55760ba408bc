// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/quantized_checkpoint.h"

#include "base/text.h"
#include "source/auto_round_source.h"
#include "source/compressed_tensors_source.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

using TensorsPtr = std::shared_ptr<const tensor::TensorSource>;

struct Method
{
    std::string_view word; ///< quant_method, lower case, '_' as '-'
    TensorsPtr (*open)(const Json& quantization_config, TensorsPtr stored);
};

/// The explicit list of methods that can be read.
constexpr std::array kMethods = {
    Method{"auto-round", open_auto_round},
    Method{"intel/auto-round", open_auto_round},
    Method{"compressed-tensors", open_compressed_tensors},
};

/// Removes the quantization's description and returns it; null when there is none.
Json take_description(Json& config)
{
    Json found;
    for (const char* field : {"quantization_config", "compression_config"}) {
        const auto at = config.find(field);
        if (at != config.end()) {
            found = found.is_null() ? *at : found;
            config.erase(at);
        }
    }
    for (const char* inner : {"text_config", "thinker_config", "llm_config", "language_config"}) {
        if (config.contains(inner) && config[inner].is_object()) {
            Json nested = take_description(config[inner]);
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

} // namespace

Unquantized open_unquantized(Json& config, const std::filesystem::path& folder, TensorsPtr stored)
{
    const Json description = take_description(config);
    if (description.is_null()) {
        std::error_code error;
        // ModelOpt writes its description beside config.json only.
        if (std::filesystem::exists(folder / "hf_quant_config.json", error)) {
            refuse(folder, "modelopt");
        }
        return {std::move(stored), {}};
    }
    const std::string method = method_of(description);
    for (const Method& entry : kMethods) {
        if (entry.word == method) {
            return {entry.open(description, std::move(stored)), std::string(entry.word)};
        }
    }
    refuse(folder, method);
}

} // namespace bitsmith::source
