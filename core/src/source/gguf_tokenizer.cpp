// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_tokenizer.h"

#include "base/text.h"
#include "source/gguf_pre_tokenizers.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <set>

namespace bitsmith::source {
namespace {

using tensor::GgufMetadata;

constexpr std::string_view kSpace = "\u2581"; // SentencePiece's visible blank
constexpr int64_t kUnknown = 2;
constexpr int64_t kControl = 3;
constexpr int64_t kUserDefined = 4;
constexpr int64_t kByte = 6;

struct BosEos
{
    bool bos = false;
    bool eos = false;
};

BosEos read_bos_eos(const GgufMetadata& metadata, bool bos_by_default)
{
    return {metadata.flag("tokenizer.ggml.add_bos_token").value_or(bos_by_default),
        metadata.flag("tokenizer.ggml.add_eos_token").value_or(false)};
}

/// Phi-3's control tokens swallow the blanks behind them; the file cannot say so, llama.cpp knows
/// it too (ggml-org/llama.cpp: src/llama-vocab.cpp, token attributes).
bool swallows_blanks(const GgufVocabulary& vocabulary, std::size_t id)
{
    const std::string_view text = vocabulary.tokens[id];
    if (vocabulary.metadata.text("general.architecture").value_or("") != "phi3") {
        return false;
    }
    return text == "</s>"
        || (vocabulary.types[id] == kControl && text != "<unk>" && text != "<s>"
            && text != "<|endoftext|>");
}

Json added_tokens(const GgufVocabulary& vocabulary, bool is_sentencepiece)
{
    const std::optional<int64_t> unknown = vocabulary.special_id("unknown_token_id");
    Json added = Json::array();
    for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
        const int64_t type = vocabulary.types[id];
        const bool is_unknown =
            type == kUnknown && is_sentencepiece && unknown == static_cast<int64_t>(id);
        const bool is_special = type == kControl || is_unknown;
        if (vocabulary.is_filler(id) || (!is_special && type != kUserDefined)) {
            continue;
        }
        added.push_back({{"id", id}, {"content", vocabulary.tokens[id]}, {"single_word", false},
            {"lstrip", false}, {"rstrip", is_sentencepiece && swallows_blanks(vocabulary, id)},
            {"normalized", false}, {"special", is_special}});
    }
    return added;
}

/// Appends without the search for an equal key that ordered objects do: a vocabulary is long, and
/// its tokens are known to differ.
Json vocabulary_json(const GgufVocabulary& vocabulary)
{
    Json result = Json::object();
    auto& object = result.get_ref<Json::object_t&>();
    object.reserve(vocabulary.tokens.size());
    for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
        if (!vocabulary.is_filler(id)) {
            object.emplace_back(std::string(vocabulary.tokens[id]), id);
        }
    }
    return result;
}

Json template_token(std::string_view token, int type_id)
{
    return {{"SpecialToken", {{"id", token}, {"type_id", type_id}}}};
}

Json template_text(std::string_view sequence, int type_id)
{
    return {{"Sequence", {{"id", sequence}, {"type_id", type_id}}}};
}

/// Puts begin and end tokens around a text. Null when neither is wanted.
Json post_processor(const GgufVocabulary& vocabulary, BosEos wanted)
{
    Json tokens = Json::object();
    const auto use = [&](bool is_wanted, std::string_view key) -> std::optional<std::string> {
        const auto token = is_wanted ? vocabulary.special(key) : std::nullopt;
        if (is_wanted && !token) {
            vocabulary.corrupt(key, "absent", "an id, because the token is added to every text");
        }
        if (token) {
            tokens[*token] = {
                {"id", *token}, {"ids", {*vocabulary.special_id(key)}}, {"tokens", {*token}}};
        }
        return token;
    };
    const auto bos = use(wanted.bos, "bos_token_id");
    const auto eos = use(wanted.eos, "eos_token_id");
    if (!bos && !eos) {
        return nullptr;
    }
    const auto around = [&](Json& list, std::string_view sequence, int type_id) {
        if (bos) {
            list.push_back(template_token(*bos, type_id));
        }
        list.push_back(template_text(sequence, type_id));
        if (eos) {
            list.push_back(template_token(*eos, type_id));
        }
    };
    Json single = Json::array();
    Json pair = Json::array();
    around(single, "A", 0);
    around(pair, "A", 0);
    around(pair, "B", 1);
    return {{"type", "TemplateProcessing"}, {"single", std::move(single)},
        {"pair", std::move(pair)}, {"special_tokens", std::move(tokens)}};
}

Json bpe_json(const GgufVocabulary& vocabulary, Json merges)
{
    return {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr}, {"end_of_word_suffix", nullptr},
        {"fuse_unk", false}, {"byte_fallback", false}, {"ignore_merges", false},
        {"vocab", vocabulary_json(vocabulary)}, {"merges", std::move(merges)}};
}

/// Splits "left right" and checks that both and their union are tokens.
Json stored_merges(const GgufVocabulary& vocabulary)
{
    constexpr std::string_view kField = "tokenizer.ggml.merges";
    const auto merges = vocabulary.metadata.texts(kField);
    if (!merges) {
        vocabulary.corrupt("merges", "absent", "the merges of a byte-pair tokenizer");
    }
    const std::set<std::string_view> known(vocabulary.tokens.begin(), vocabulary.tokens.end());
    Json result = Json::array();
    for (const std::string_view merge : *merges) {
        const std::size_t blank = merge.find(' ', 1);
        const bool is_pair = blank != std::string_view::npos && blank + 1 < merge.size();
        const std::string_view left = is_pair ? merge.substr(0, blank) : merge;
        const std::string_view right = is_pair ? merge.substr(blank + 1) : std::string_view();
        if (!is_pair || known.count(left) == 0 || known.count(right) == 0
            || known.count(concat(left, right)) == 0) {
            vocabulary.corrupt("merges", merge, "two tokens that make a token");
        }
        result.push_back({left, right});
    }
    return result;
}

Json byte_level_tokenizer(const GgufVocabulary& vocabulary, GgufTextFiles& out, Json& config)
{
    const GgufMetadata& metadata = vocabulary.metadata;
    const auto stored = metadata.text("tokenizer.ggml.pre");
    if (!stored) {
        out.warnings.push_back("tokenizer.ggml.pre is absent: text is split by llama.cpp's default "
                               "rule, which may differ from the model's own");
    }
    const std::string name = stored.value_or("default");
    const GgufPreTokenizer& pre = gguf_pre_tokenizer(name, metadata.file());
    config["clean_up_tokenization_spaces"] = !keeps_spaces(pre, name);
    Json model = bpe_json(vocabulary, stored_merges(vocabulary));
    model["ignore_merges"] = pre.ignore_merges;
    const BosEos added = read_bos_eos(metadata, pre.adds_bos);
    config["add_bos_token"] = added.bos;
    config["add_eos_token"] = added.eos;
    return {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr},
        {"added_tokens", added_tokens(vocabulary, false)}, {"normalizer", nullptr},
        {"pre_tokenizer", pre_tokenizer_json(pre)},
        {"post_processor", post_processor(vocabulary, added)},
        {"decoder",
            {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true},
                {"use_regex", true}}},
        {"model", std::move(model)}};
}

Json replace_json(std::string_view from, std::string_view to)
{
    return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json sentencepiece_tokenizer(const GgufVocabulary& vocabulary, Json& config)
{
    const GgufMetadata& metadata = vocabulary.metadata;
    const auto scores = metadata.numbers("tokenizer.ggml.scores");
    if (!scores || static_cast<int64_t>(scores->size()) != vocabulary.size()) {
        vocabulary.corrupt("scores", scores ? concat(scores->size(), " values") : "absent",
            concat(vocabulary.size(), ", one per token"));
    }
    Json merges = Json::array();
    for (const auto& [left, right] : merges_from_scores(vocabulary, *scores)) {
        merges.push_back({left, right});
    }
    Json model = bpe_json(vocabulary, std::move(merges));
    model["fuse_unk"] = true;
    model["byte_fallback"] = std::find(vocabulary.types.begin(), vocabulary.types.end(), kByte)
        != vocabulary.types.end();
    if (const auto unknown = vocabulary.special("unknown_token_id")) {
        model["unk_token"] = *unknown;
    }
    const bool has_prefix = metadata.flag("tokenizer.ggml.add_space_prefix").value_or(true);
    Json normalizers = Json::array();
    Json decoders =
        Json::array({replace_json(kSpace, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
    if (has_prefix) {
        normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
        decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    }
    normalizers.push_back(replace_json(" ", kSpace));
    const BosEos added = read_bos_eos(metadata, true);
    config["add_bos_token"] = added.bos;
    config["add_eos_token"] = added.eos;
    config["clean_up_tokenization_spaces"] = false;
    return {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr},
        {"added_tokens", added_tokens(vocabulary, true)},
        {"normalizer", {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}}},
        {"pre_tokenizer", nullptr}, {"post_processor", post_processor(vocabulary, added)},
        {"decoder", {{"type", "Sequence"}, {"decoders", std::move(decoders)}}},
        {"model", std::move(model)}};
}

/// The default template, and those with a name beside it.
void add_templates(const GgufMetadata& metadata, GgufTextFiles& out, Json& config)
{
    const auto main = metadata.text("tokenizer.chat_template");
    if (!main) {
        return;
    }
    out.files["chat_template.jinja"] = *main;
    Json named = Json::array({{{"name", "default"}, {"template", *main}}});
    const auto names = metadata.texts("tokenizer.chat_templates");
    for (const std::string_view name : names.value_or(std::vector<std::string_view>())) {
        if (const auto text = metadata.text(concat("tokenizer.chat_template.", name))) {
            named.push_back({{"name", name}, {"template", *text}});
        }
    }
    config["chat_template"] = named.size() > 1 ? named : Json(*main);
}

std::string dump(const Json& json, const GgufVocabulary& vocabulary)
{
    try {
        return json.dump(2);
    } catch (const Json::type_error&) { // text that is not UTF-8
        vocabulary.corrupt("tokens", "text that is not UTF-8", "UTF-8");
    }
}

} // namespace

GgufTextFiles build_gguf_tokenizer(const GgufMetadata& metadata)
{
    const GgufVocabulary vocabulary(metadata);
    const std::string kind = metadata.text("tokenizer.ggml.model").value_or("absent");
    GgufTextFiles out;
    Json config;
    Json tokenizer;
    if (kind == "gpt2") {
        tokenizer = byte_level_tokenizer(vocabulary, out, config);
    } else if (kind == "llama") {
        tokenizer = sentencepiece_tokenizer(vocabulary, config);
    } else {
        fail(ErrorCode::UnsupportedModel, "GGUF tokenizers of this kind are not read",
            {{"file", metadata.file()}, {"field", "tokenizer.ggml.model"},
                {"found", printable(kind)}, {"allowed", "gpt2, llama"}},
            "Name the model's Hugging Face folder instead.");
    }
    config["tokenizer_class"] = "PreTrainedTokenizerFast";
    for (const auto& [field, key] : {std::pair{"bos_token", "bos_token_id"},
             std::pair{"eos_token", "eos_token_id"}, std::pair{"unk_token", "unknown_token_id"},
             std::pair{"pad_token", "padding_token_id"}}) {
        if (const auto token = vocabulary.special(key)) {
            config[field] = *token;
        }
    }
    const std::string arch = metadata.text("general.architecture").value_or("");
    if (const auto length = metadata.integer(arch + ".context_length")) {
        config["model_max_length"] = *length;
    }
    add_templates(metadata, out, config);
    out.files["tokenizer.json"] = dump(tokenizer, vocabulary);
    out.files["tokenizer_config.json"] = dump(config, vocabulary);
    return out;
}

} // namespace bitsmith::source
