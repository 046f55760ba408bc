// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_pre_tokenizers.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::source {
namespace {

// Patterns as the models' own tokenizer.json files spell them.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom = R"( ?[^(\s|.,!?…。，、।۔،)]+)";

std::vector<GgufPreTokenizer> make_table()
{
    using Words = std::vector<std::string_view>;
    std::vector<GgufPreTokenizer> table;
    const auto add = [&table](Words names, Words splits, Words keeps) -> GgufPreTokenizer& {
        table.push_back(
            {std::move(names), std::move(splits), false, false, false, std::move(keeps)});
        return table.back();
    };
    GgufPreTokenizer& llama3 = add({"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1",
                                       "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"},
        {kLlama3}, {});
    llama3.ignore_merges = true;
    llama3.adds_bos = true;
    add({"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, {kLlama3}, {});
    const Words qwen2{
        "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "hunyuan", "solar-open", "grok-2"};
    add({"megrez", "stablelm2"}, {kQwen2}, {});
    add(qwen2, {kQwen2}, qwen2);
    add({"qwen35"}, {kQwen35}, {"qwen35"});
    add({"deepseek-v3", "hunyuan-dense", "joyai-llm"},
        {R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)", kDeepseek3},
        {"deepseek-v3", "hunyuan-dense", "joyai-llm"});
    add({"deepseek-coder"},
        {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([一-龥ࠀ-一가-퟿]+)", R"(\p{N})"},
        {"deepseek-coder"});
    add({"gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "mpt", "olmo",
            "jais", "trillion", "granite-docling"},
        {kGpt2}, {"trillion", "granite-docling"});
    add({"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
            "mellum2"},
        {kGpt2}, {"command-r", "smollm"})
        .digits_alone = true;
    GgufPreTokenizer& tekken = add({"tekken"}, {kTekken}, {"tekken"});
    tekken.ignore_merges = true;
    tekken.adds_bos = true;
    const Words gpt4o{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"};
    add(gpt4o, {kGpt4o}, gpt4o);
    add({"tiny_aya", "cohere2moe"}, {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4o},
        {"tiny_aya", "cohere2moe"});
    add({"falcon"}, {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, R"([0-9][0-9][0-9])"}, {});
    add({"default"}, {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", R"([0-9][0-9][0-9])"}, {});
    add({"bailingmoe", "bailingmoe2", "llada-moe"}, {kBailing},
        {"bailingmoe", "bailingmoe2", "llada-moe"});
    add({"seed-coder"}, {kSeedCoder}, {"seed-coder"});
    add({"exaone-moe"}, {kExaoneMoe}, {});
    add({"poro-chat", "bloom", "gpt3-finnish"}, {kBloom}, {"poro-chat"});
    add({"viking"}, {kBloom, R"(\p{N})"}, {"viking"});
    add({"superbpe"}, {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}, {"superbpe"});
    return table;
}

Json split_json(std::string_view pattern)
{
    return {{"type", "Split"}, {"pattern", {{"Regex", std::string(pattern)}}},
        {"behavior", "Isolated"}, {"invert", false}};
}

const std::vector<GgufPreTokenizer>& table()
{
    static const std::vector<GgufPreTokenizer> entries = make_table();
    return entries;
}

bool contains(const std::vector<std::string_view>& words, std::string_view word)
{
    return std::find(words.begin(), words.end(), word) != words.end();
}

} // namespace

const GgufPreTokenizer& gguf_pre_tokenizer(std::string_view name, const std::string& file)
{
    std::vector<std::string> known;
    for (const GgufPreTokenizer& entry : table()) {
        if (contains(entry.names, name)) {
            return entry;
        }
        known.insert(known.end(), entry.names.begin(), entry.names.end());
    }
    fail(ErrorCode::UnsupportedModel, "how this tokenizer splits text is not known",
        {{"file", file}, {"field", "tokenizer.ggml.pre"}, {"found", printable(name)},
            {"nearest", nearest(name, known)}, {"allowed", join(known, ", ")}},
        "Name the model's Hugging Face folder instead.");
}

Json pre_tokenizer_json(const GgufPreTokenizer& pre)
{
    // GPT-2's split is part of the byte-level step where it comes last.
    const bool ends_as_gpt2 = pre.splits.back() == kGpt2;
    Json steps = Json::array();
    if (pre.digits_alone) {
        steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
    }
    for (std::size_t i = 0; i + (ends_as_gpt2 ? 1 : 0) < pre.splits.size(); ++i) {
        steps.push_back(split_json(pre.splits[i]));
    }
    steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true},
        {"use_regex", ends_as_gpt2}});
    if (steps.size() == 1) {
        return steps.front();
    }
    return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

bool keeps_spaces(const GgufPreTokenizer& pre, std::string_view name)
{
    return contains(pre.keeps_spaces, name);
}

} // namespace bitsmith::source
