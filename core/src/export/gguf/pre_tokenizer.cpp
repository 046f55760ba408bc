// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/pre_tokenizer.h"

#include "base/file_ops.h"
#include "base/text.h"
#include "source/gguf_pre_tokenizers.h"

#include <bitsmith/error.h>

#include <array>

namespace bitsmith::exporting {

namespace {

/// One word per way of splitting, the most usual first. Words of one row of appendix B differ only
/// in flags that the file states anyway.
constexpr std::array<std::string_view, 13> kCandidates = {"llama-bpe", "smaug-bpe", "qwen2",
    "qwen35", "deepseek-v3", "deepseek-coder", "tekken", "gpt-4o", "smollm", "starcoder", "gpt-2",
    "bailingmoe", "seed-coder"};

/// The splitting steps of a pre_tokenizer: patterns and digit rules, in order. Other members say
/// nothing about where text is cut.
void collect_steps(const Json& pre, std::vector<std::string>& steps)
{
    const std::string type = pre.is_object() ? pre.value("type", std::string()) : std::string();
    if (type == "Sequence") {
        for (const Json& part : pre.value("pretokenizers", Json::array())) {
            collect_steps(part, steps);
        }
    } else if (type == "Split") {
        const Json& pattern = pre.value("pattern", Json::object());
        steps.push_back(pattern.value("Regex", pattern.value("String", std::string())));
    } else if (type == "Digits") {
        steps.push_back(concat("digits ", pre.value("individual_digits", false)));
    } else if (type == "ByteLevel") {
        // Its own pattern is GPT-2's, unless switched off.
        if (pre.value("use_regex", true)) {
            steps.emplace_back("gpt2");
        }
    } else if (!type.empty()) {
        steps.push_back(type);
    }
}

std::vector<std::string> steps_of(const Json& pre)
{
    std::vector<std::string> steps;
    collect_steps(pre, steps);
    return steps;
}

bool ignores_merges(const Json& tokenizer)
{
    const Json& model = tokenizer.value("model", Json::object());
    const auto found = model.find("ignore_merges");
    return found != model.end() && found->is_boolean() && found->get<bool>();
}

} // namespace

std::string pre_fingerprint(const std::vector<int64_t>& ids)
{
    std::vector<std::string> words;
    words.reserve(ids.size());
    for (const int64_t id : ids) {
        words.push_back(std::to_string(id));
    }
    const std::string text = concat("[", join(words, ", "), "]");
    return sha256(std::as_bytes(std::span(text.data(), text.size())));
}

std::string pre_tokenizer_name(
    const Json& tokenizer, const std::function<std::vector<int64_t>(const std::string&)>& encode)
{
    const std::string hash = pre_fingerprint(encode(pre_probe_text()));
    for (const PreFingerprint& known : pre_fingerprints()) {
        if (known.sha256 == hash) {
            return std::string(known.name);
        }
    }
    const std::vector<std::string> steps = steps_of(tokenizer.value("pre_tokenizer", Json()));
    for (const std::string_view name : kCandidates) {
        const source::GgufPreTokenizer& pre = source::gguf_pre_tokenizer(name, "tokenizer.json");
        if (pre.ignore_merges == ignores_merges(tokenizer)
            && steps_of(source::pre_tokenizer_json(pre)) == steps) {
            return std::string(name);
        }
    }
    fail(ErrorCode::UnsupportedModel,
        "llama.cpp has no name for the way this tokenizer splits text",
        {{"field", "pre_tokenizer"}, {"found", join(steps, " | ")}, {"fingerprint", hash}},
        "Export in another format.");
}

} // namespace bitsmith::exporting
