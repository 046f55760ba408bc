// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/text_side.h"

#include "base/file_ops.h"
#include "base/json_io.h"
#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::hf {

namespace {

using Files = std::map<std::string, std::string>;

constexpr const char* kFileNames[] = {"tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "chat_template.jinja", "chat_template.json",
    "generation_config.json", "config.json"};

/// The small files of a model folder as JSON objects; an absent file is an empty object.
struct Settings
{
    Settings(const Files& files, std::string_view origin)
        : tokenizer(object(files, origin, "tokenizer_config.json"))
        , special(object(files, origin, "special_tokens_map.json"))
        , generation(object(files, origin, "generation_config.json"))
        , model(object(files, origin, "config.json"))
    { }

    static Json object(const Files& files, std::string_view origin, const char* name)
    {
        const auto found = files.find(name);
        if (found == files.end()) {
            return Json::object();
        }
        Json parsed = parse_json(found->second, concat(origin, "/", name));
        return parsed.is_object() ? parsed : Json::object();
    }

    Json tokenizer, special, generation, model;
};

/// Text of a special token such as `eos_token`: a string, or an object with `content`.
std::optional<std::string> token_text(const Settings& settings, const char* key)
{
    for (const Json* json : {&settings.tokenizer, &settings.special}) {
        const auto found = json->find(key);
        if (found == json->end()) {
            continue;
        }
        if (found->is_string()) {
            return found->get<std::string>();
        }
        if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
            return (*found)["content"].get<std::string>();
        }
    }
    return std::nullopt;
}

/// Ids under a key such as `eos_token_id`: one number or a list of them.
std::vector<int32_t> ids_in(const Json& json, const char* key)
{
    std::vector<int32_t> ids;
    const auto found = json.find(key);
    if (found == json.end()) {
        return ids;
    }
    const auto add = [&](const Json& value) {
        if (value.is_number_integer() && value.get<int64_t>() >= 0
            && value.get<int64_t>() <= INT32_MAX) {
            ids.push_back(value.get<int32_t>());
        }
    };
    if (found->is_array()) {
        std::for_each(found->begin(), found->end(), add);
    } else {
        add(*found);
    }
    return ids;
}

/// generation_config.json first: it is what a runtime stops at.
std::vector<int32_t> configured_ids(const Settings& settings, const char* key)
{
    std::vector<int32_t> ids = ids_in(settings.generation, key);
    if (ids.empty()) {
        ids = ids_in(settings.model, key);
    }
    const auto text_model = settings.model.find("text_config");
    if (ids.empty() && text_model != settings.model.end() && text_model->is_object()) {
        ids = ids_in(*text_model, key);
    }
    return ids;
}

enum class Absent
{
    Stop,
    Ignore
};

std::optional<int32_t> special_id(const Settings& settings, const Tokenizer& tokenizer,
    const std::string& name, Absent absent, std::string_view origin)
{
    const auto text = token_text(settings, (name + "_token").c_str());
    if (!text) {
        const std::vector<int32_t> ids = configured_ids(settings, (name + "_token_id").c_str());
        return ids.empty() ? std::nullopt : std::optional(ids.front());
    }
    const auto id = tokenizer.token_to_id(*text);
    if (!id && absent == Absent::Stop) {
        fail(ErrorCode::FileCorrupt, "a special token is not in the vocabulary",
            {{"file", std::string(origin)}, {"key", name + "_token"}, {"token", printable(*text)}},
            "take tokenizer.json and tokenizer_config.json from the same model");
    }
    return id;
}

/// Text of a template that is a string, or a list of {name, template} whose "default" or first
/// entry counts.
std::optional<std::string> template_text(const Json& value)
{
    if (value.is_string()) {
        return value.get<std::string>();
    }
    std::optional<std::string> first;
    if (value.is_array()) {
        for (const Json& entry : value) {
            if (!entry.is_object() || !entry.contains("template")
                || !entry["template"].is_string()) {
                continue;
            }
            auto text = entry["template"].get<std::string>();
            if (entry.contains("name") && entry["name"] == "default") {
                return text;
            }
            if (!first) {
                first = std::move(text);
            }
        }
    }
    return first;
}

std::optional<std::string> find_template(
    const Files& files, const Settings& settings, std::string_view origin)
{
    if (const auto jinja = files.find("chat_template.jinja"); jinja != files.end()) {
        return jinja->second;
    }
    const Json own_file = Settings::object(files, origin, "chat_template.json");
    for (const Json* json : {&own_file, &settings.tokenizer}) {
        if (const auto found = json->find("chat_template"); found != json->end()) {
            if (auto text = template_text(*found)) {
                return text;
            }
        }
    }
    return std::nullopt;
}

std::string text_of(const Tokenizer& tokenizer, std::optional<int32_t> id)
{
    return id ? tokenizer.id_to_token(*id).value_or("") : "";
}

} // namespace

TextSide load_text_side(const Files& files, std::string_view origin)
{
    const auto json = files.find("tokenizer.json");
    if (json == files.end()) {
        fail(ErrorCode::FileNotFound, "the model has no tokenizer that can be used",
            {{"model", std::string(origin)}, {"looked for", "tokenizer.json"}},
            "save the model with its fast tokenizer, or calibrate without text (recipe rtn)");
    }
    TextSide side{Tokenizer::from_json(json->second, concat(origin, "/tokenizer.json")), {}, {}, {},
        {}, {}, false};
    const Settings settings(files, origin);
    side.bos = special_id(settings, side.tokenizer, "bos", Absent::Stop, origin);
    side.eos = special_id(settings, side.tokenizer, "eos", Absent::Stop, origin);
    // Often only a wish of the training script, and never fed to the model here.
    side.pad = special_id(settings, side.tokenizer, "pad", Absent::Ignore, origin);

    side.eos_ids = configured_ids(settings, "eos_token_id");
    if (side.eos
        && std::find(side.eos_ids.begin(), side.eos_ids.end(), *side.eos) == side.eos_ids.end()) {
        side.eos_ids.push_back(*side.eos);
    }
    const std::vector<int32_t> with_special = side.tokenizer.encode("a", true);
    const std::vector<int32_t> plain = side.tokenizer.encode("a", false);
    side.adds_bos =
        side.bos && with_special.size() > plain.size() && with_special.front() == *side.bos;

    if (auto source = find_template(files, settings, origin)) {
        ChatTemplate chat;
        chat.source = std::move(*source);
        chat.bos_token = text_of(side.tokenizer, side.bos);
        chat.eos_token = text_of(side.tokenizer, side.eos);
        side.chat_template = std::move(chat);
    }
    return side;
}

TextSide load_text_side(const std::filesystem::path& model_folder)
{
    Files files;
    for (const char* name : kFileNames) {
        if (std::filesystem::exists(model_folder / name)) {
            files[name] = read_text_file(model_folder / name);
        }
    }
    return load_text_side(files, model_folder.string());
}

} // namespace bitsmith::hf
