// SPDX-License-Identifier: GPL-3.0-or-later
#include "arch/registry.h"

#include "arch/families.h"
#include "base/text.h"
#include "model/spec_check.h"

#include <bitsmith/catalog.h>
#include <bitsmith/error.h>

#include <array>

namespace bitsmith::arch {

namespace {

/// The family's function, then what holds for every family: names put in, refusals made.
template <model::DecoderSpec (*Read)(const Json&)>
model::DecoderSpec checked(const Json& config)
{
    model::DecoderSpec spec = Read(config);
    spec.family = family_for(config).id;
    model::check_spec(spec);
    return spec;
}

const std::array kFamilies{
    Family{"llama", "Llama and its relatives", {"llama"}, checked<llama_spec>},
    Family{"mistral", "Mistral", {"mistral"}, checked<mistral_spec>},
    Family{"mixtral", "Mixtral", {"mixtral"}, checked<mixtral_spec>},
    Family{"qwen2", "Qwen 2, 2.5", {"qwen2"}, checked<qwen2_spec>},
    Family{"qwen3", "Qwen 3", {"qwen3"}, checked<qwen3_spec>},
    Family{"qwen3_moe", "Qwen 3 MoE", {"qwen3_moe"}, checked<qwen3_moe_spec>},
    Family{"gemma", "Gemma", {"gemma"}, checked<gemma_spec>},
    Family{"gemma2", "Gemma 2", {"gemma2"}, checked<gemma2_spec>},
    Family{"gemma3_text", "Gemma 3 (text)", {"gemma3_text"}, checked<gemma3_spec>},
    Family{"phi3", "Phi-3, 3.5, 4", {"phi3"}, checked<phi3_spec>},
    Family{"gpt_oss", "gpt-oss", {"gpt_oss"}, checked<gpt_oss_spec>},
};

} // namespace

std::span<const Family> families()
{
    return kFamilies;
}

const Json& decoder_config(const Json& config)
{
    ConfigReader reader(config);
    const Json* inner = &config;
    if (reader.is_set("thinker_config")) {
        inner = &config.at("thinker_config");
    }
    for (const char* field : {"text_config", "llm_config", "language_config"}) {
        if (inner->is_object() && inner->contains(field) && !inner->at(field).is_null()) {
            return inner->at(field);
        }
    }
    return *inner;
}

const Family& family_for(const Json& config)
{
    const ConfigReader reader(decoder_config(config));
    const std::string type = reader.word("model_type");
    std::vector<std::string> known;
    for (const Family& family : kFamilies) {
        for (const std::string_view word : family.model_types) {
            if (word == type) {
                return family;
            }
            known.emplace_back(word);
        }
    }
    if (type.empty()) {
        reader.reject("model_type", "one of: " + join(known, ", "));
    }
    const std::string near = nearest(type, known);
    const std::string hint = near.empty() ? "" : "the nearest supported type is " + near;
    if (ConfigReader(config).is_set("auto_map")) {
        fail(ErrorCode::UnsupportedModel,
            "the model needs Python code of its own (auto_map), which is never executed",
            {{"file", "config.json"}, {"field", "model_type"}, {"found", type},
                {"allowed", join(known, ", ")}},
            hint);
    }
    fail(ErrorCode::UnsupportedModel, "this kind of model is not supported",
        {{"file", "config.json"}, {"field", "model_type"}, {"found", type},
            {"allowed", join(known, ", ")}},
        hint);
}

} // namespace bitsmith::arch

namespace bitsmith {

const std::vector<FamilyInfo>& family_catalog()
{
    static const std::vector<FamilyInfo> catalog = [] {
        std::vector<FamilyInfo> list;
        for (const arch::Family& family : arch::families()) {
            list.push_back({std::string(family.id), std::string(family.title),
                {family.model_types.begin(), family.model_types.end()}});
        }
        return list;
    }();
    return catalog;
}

} // namespace bitsmith
