// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/special_tokens.h"

#include "base/text.h"
#include "export/gguf/vocabulary.h"

#include <algorithm>
#include <optional>

namespace bitsmith::exporting {

namespace {

Json object_of(const std::map<std::string, std::string>& files, const std::string& name)
{
    const auto found = files.find(name);
    const Json json = found == files.end() ? Json() : parse_json(found->second, name);
    return json.is_object() ? json : Json::object();
}

std::string token_text(const Json& config, const std::string& key)
{
    const auto found = config.find(key);
    if (found == config.end()) {
        return {};
    }
    if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
        return (*found)["content"];
    }
    return found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<int64_t> number_of(const Json& config, const std::string& key)
{
    const auto found = config.find(key);
    if (found == config.end()) {
        return std::nullopt;
    }
    const Json& value = found->is_array() && !found->empty() ? found->front() : *found;
    return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

class SpecialTokens
{
public:
    explicit SpecialTokens(const SpecialTokenInput& input)
        : input_(input)
        , tokenizer_config_(object_of(input.files, "tokenizer_config.json"))
        , special_map_(object_of(input.files, "special_tokens_map.json"))
        , generation_(object_of(input.files, "generation_config.json"))
    { }

    /// `word`: "bos_token".
    std::optional<int64_t> id(const std::string& word) const
    {
        for (const Json* config : {&tokenizer_config_, &special_map_}) {
            const std::string text = token_text(*config, word);
            const auto found = text.empty()
                ? input_.tokens.end()
                : std::find(input_.tokens.begin(), input_.tokens.end(), text);
            if (found != input_.tokens.end()) {
                return found - input_.tokens.begin();
            }
        }
        for (const Json* config : {&input_.config, &generation_}) {
            const auto number = number_of(*config, word + "_id");
            if (number && *number >= 0 && *number < static_cast<int64_t>(input_.tokens.size())) {
                return number;
            }
        }
        return std::nullopt;
    }

    /// Does the post-processor put a special token at that end of a text?
    bool adds(bool at_begin) const
    {
        const std::string key = at_begin ? "add_bos_token" : "add_eos_token";
        const auto stated = tokenizer_config_.find(key);
        if (stated != tokenizer_config_.end() && stated->is_boolean()) {
            return stated->get<bool>();
        }
        const Json& post = input_.tokenizer.value("post_processor", Json());
        return processor_adds(post, at_begin);
    }

private:
    static bool processor_adds(const Json& post, bool at_begin)
    {
        if (!post.is_object()) {
            return false;
        }
        const std::string type = post.value("type", std::string());
        if (type == "Sequence") {
            const Json parts = post.value("processors", Json::array());
            return std::any_of(parts.begin(), parts.end(),
                [at_begin](const Json& part) { return processor_adds(part, at_begin); });
        }
        const Json single = post.value("single", Json::array());
        if (type != "TemplateProcessing" || !single.is_array() || single.empty()) {
            return false;
        }
        const Json& end = at_begin ? single.front() : single.back();
        return end.is_object() && end.contains("SpecialToken");
    }

    const SpecialTokenInput& input_;
    Json tokenizer_config_, special_map_, generation_;
};

std::string template_in(const std::map<std::string, std::string>& files, const std::string& name)
{
    const Json config = object_of(files, name);
    const auto found = config.find("chat_template");
    if (found == config.end()) {
        return {};
    }
    if (found->is_string()) {
        return found->get<std::string>();
    }
    for (const Json& entry : *found) {
        if (entry.is_object() && entry.value("name", std::string()) == "default") {
            return entry.value("template", std::string());
        }
    }
    return {};
}

} // namespace

void add_special_tokens(tensor::GgufFields& fields, const SpecialTokenInput& input)
{
    const SpecialTokens tokens(input);
    for (const auto& [word, key] : {std::pair{"bos_token", "bos"}, std::pair{"eos_token", "eos"},
             std::pair{"unk_token", "unknown"}, std::pair{"pad_token", "padding"}}) {
        if (const auto id = tokens.id(word)) {
            fields.set(concat("tokenizer.ggml.", key, "_token_id"), static_cast<uint32_t>(*id));
        }
    }
    // Always stated: the default depends on the word of the pre-tokenizer.
    fields.set("tokenizer.ggml.add_bos_token", tokens.adds(true));
    fields.set("tokenizer.ggml.add_eos_token", tokens.adds(false));
}

std::string chat_template_text(const std::map<std::string, std::string>& files)
{
    if (const auto file = files.find("chat_template.jinja"); file != files.end()) {
        return file->second;
    }
    const std::string text = template_in(files, "tokenizer_config.json");
    return text.empty() ? template_in(files, "chat_template.json") : text;
}

} // namespace bitsmith::exporting
