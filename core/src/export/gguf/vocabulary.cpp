// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/vocabulary.h"

#include "base/text.h"
#include "export/gguf/pre_tokenizer.h"
#include "export/gguf/special_tokens.h"

#include <bitsmith/error.h>

#include <array>

namespace bitsmith::exporting {

namespace {

constexpr int64_t kMaxTokens = 1 << 24; ///< ids above are damage, not vocabularies
constexpr float kUnmergedScore = -1e6F; ///< below every merge
constexpr float kPaddingScore = -10000.0F; ///< formats.md 6.7
constexpr std::string_view kBlankMark = "\u2581";
constexpr std::string_view kByteBlank = "\u0120"; ///< a blank in byte-level spelling

[[noreturn]] void corrupt(const std::string& what, const std::string& found)
{
    fail(ErrorCode::FileCorrupt, what, {{"file", "tokenizer.json"}, {"found", found}});
}

std::string with(std::string text, std::string_view from, std::string_view to)
{
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

bool contains_type(const Json& node, std::string_view type)
{
    if (node.is_object() && node.value("type", std::string()) == type) {
        return true;
    }
    return node.is_structured() && std::any_of(node.begin(), node.end(), [&](const Json& child) {
        return contains_type(child, type);
    });
}

enum class Kind
{
    ByteLevel, ///< llama.cpp's "gpt2"
    SentencePiece, ///< llama.cpp's "llama"
};

Kind kind_of(const Json& tokenizer)
{
    const Json& model = tokenizer.value("model", Json::object());
    const std::string type = model.value("type", std::string("BPE"));
    if (type == "BPE" && contains_type(tokenizer.value("pre_tokenizer", Json()), "ByteLevel")) {
        return Kind::ByteLevel;
    }
    if (type == "BPE" && model.value("byte_fallback", false)) {
        return Kind::SentencePiece;
    }
    fail(ErrorCode::UnsupportedModel,
        "GGUF vocabularies are not written for this kind of tokenizer",
        {{"file", "tokenizer.json"}, {"found", type},
            {"allowed", "BPE on bytes, or with byte fallback"}},
        "Export in another format.");
}

struct Vocabulary
{
    std::vector<std::string> tokens;
    std::vector<int32_t> types;
    std::vector<bool> is_given;

    explicit Vocabulary(int64_t rows)
        : tokens(static_cast<std::size_t>(rows))
        , types(tokens.size(), static_cast<int32_t>(GgufTokenType::Normal))
        , is_given(tokens.size(), false)
    { }
    void put(int64_t id, std::string text, GgufTokenType type)
    {
        if (id < 0 || id >= static_cast<int64_t>(tokens.size())) {
            corrupt("a token's id is outside the embedding", concat(text, " = ", id));
        }
        const auto at = static_cast<std::size_t>(id);
        tokens[at] = std::move(text);
        types[at] = static_cast<int32_t>(type);
        is_given[at] = true;
    }
    void fill_gaps()
    {
        for (std::size_t id = 0; id < tokens.size(); ++id) {
            if (!is_given[id]) {
                tokens[id] = concat("[PAD", id, "]");
                types[id] = static_cast<int32_t>(GgufTokenType::Unused);
            }
        }
    }
};

int64_t id_of(const Json& value, const std::string& token)
{
    if (!value.is_number_integer()) {
        corrupt("a token's id is not an integer", token);
    }
    return value.get<int64_t>();
}

bool is_byte_token(std::string_view token)
{
    return token.size() == 6 && token.starts_with("<0x") && token.back() == '>'
        && std::isxdigit(static_cast<unsigned char>(token[3])) != 0
        && std::isxdigit(static_cast<unsigned char>(token[4])) != 0;
}

/// Control tokens by their looks, whatever the file calls them (formats.md 6.7).
bool looks_special(std::string_view token)
{
    constexpr std::array<std::string_view, 4> exact = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
    return std::find(exact.begin(), exact.end(), token) != exact.end()
        || (token.starts_with("<|") && token.ends_with("|>"))
        || (token.starts_with("<\uFF5C") && token.ends_with("\uFF5C>"))
        || token.starts_with("<unused");
}

void put_base_tokens(Vocabulary& vocabulary, const Json& model, Kind kind)
{
    const std::string unknown =
        model.contains("unk_token") && model["unk_token"].is_string() ? model["unk_token"] : "";
    const Json& vocab = model.value("vocab", Json::object());
    if (!vocab.is_object() || vocab.empty()) {
        corrupt("the tokenizer has no vocabulary", vocab.type_name());
    }
    for (const auto& [token, id] : vocab.items()) {
        GgufTokenType type = GgufTokenType::Normal;
        if (kind == Kind::SentencePiece && is_byte_token(token)) {
            type = GgufTokenType::Byte;
        } else if (kind == Kind::SentencePiece && token == unknown) {
            type = GgufTokenType::Unknown;
        }
        vocabulary.put(id_of(id, token), token, type);
    }
}

void put_added_tokens(Vocabulary& vocabulary, const Json& tokenizer, Kind kind)
{
    const Json& model = tokenizer.value("model", Json::object());
    const Json& unknown = model.contains("unk_token") ? model["unk_token"] : Json();
    for (const Json& added : tokenizer.value("added_tokens", Json::array())) {
        const std::string text = added.value("content", std::string());
        const int64_t id = id_of(added.value("id", Json()), text);
        if (kind == Kind::SentencePiece && unknown.is_string() && unknown == text) {
            vocabulary.put(id, text, GgufTokenType::Unknown);
        } else if (added.value("special", false) || looks_special(text)) {
            vocabulary.put(id, text, GgufTokenType::Control);
        } else if (kind == Kind::SentencePiece && is_byte_token(text)) {
            vocabulary.put(id, text, GgufTokenType::Byte);
        } else {
            vocabulary.put(id, with(text, kBlankMark, " "), GgufTokenType::UserDefined);
        }
    }
}

/// Both parts of every merge, in order of priority.
std::vector<std::pair<std::string, std::string>> merges_of(const Json& model)
{
    std::vector<std::pair<std::string, std::string>> merges;
    for (const Json& merge : model.value("merges", Json::array())) {
        if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
            merges.emplace_back(merge[0], merge[1]);
            continue;
        }
        const std::string text = merge.is_string() ? merge.get<std::string>() : std::string();
        const std::size_t blank = text.find(' ');
        if (blank == std::string::npos) {
            corrupt("a merge is not a pair", merge.dump());
        }
        merges.emplace_back(text.substr(0, blank), text.substr(blank + 1));
    }
    return merges;
}

std::vector<std::string> merge_lines(const Json& model)
{
    std::vector<std::string> lines;
    for (const auto& [left, right] : merges_of(model)) {
        lines.push_back(concat(with(left, " ", kByteBlank), " ", with(right, " ", kByteBlank)));
    }
    return lines;
}

/// llama.cpp merges the pair whose result scores highest, so the score is the merge's place.
std::vector<float> merge_scores(const Vocabulary& vocabulary, const Json& model)
{
    std::map<std::string, float> by_token;
    float place = 0;
    for (const auto& [left, right] : merges_of(model)) {
        by_token.emplace(left + right, -place); // the first merge to a token counts
        place += 1;
    }
    std::vector<float> scores(vocabulary.tokens.size(), 0.0F);
    for (std::size_t id = 0; id < scores.size(); ++id) {
        if (!vocabulary.is_given[id]) {
            scores[id] = kPaddingScore;
        } else if (vocabulary.types[id] == static_cast<int32_t>(GgufTokenType::Normal)) {
            const auto found = by_token.find(vocabulary.tokens[id]);
            scores[id] = found == by_token.end() ? kUnmergedScore : found->second;
        }
    }
    return scores;
}

/// Does the tokenizer put a blank before the first word?
bool adds_space_prefix(const Json& tokenizer)
{
    const Json normalizer = tokenizer.value("normalizer", Json());
    if (contains_type(normalizer, "Prepend")) {
        return true;
    }
    const Json pre = tokenizer.value("pre_tokenizer", Json());
    return contains_type(pre, "Metaspace")
        && pre.value("prepend_scheme", std::string("always")) != "never"
        && pre.value("add_prefix_space", true);
}

void add_fields(tensor::GgufFields& fields, const VocabularyInput& input, const std::string& text)
{
    const Json tokenizer = parse_json(text, "tokenizer.json");
    const Kind kind = kind_of(tokenizer);
    const Json& model = tokenizer["model"];
    Vocabulary vocabulary(input.rows);
    put_base_tokens(vocabulary, model, kind);
    put_added_tokens(vocabulary, tokenizer, kind);
    vocabulary.fill_gaps();

    fields.set("tokenizer.ggml.model", std::string(kind == Kind::ByteLevel ? "gpt2" : "llama"));
    fields.set("tokenizer.ggml.pre",
        kind == Kind::ByteLevel ? pre_tokenizer_name(tokenizer, input.encode)
                                : std::string("default"));
    if (kind == Kind::SentencePiece) {
        fields.set("tokenizer.ggml.scores", merge_scores(vocabulary, model));
        fields.set("tokenizer.ggml.add_space_prefix", adds_space_prefix(tokenizer));
    } else {
        fields.set("tokenizer.ggml.merges", merge_lines(model));
    }
    add_special_tokens(fields, {input.files, input.config, tokenizer, vocabulary.tokens});
    fields.set("tokenizer.ggml.tokens", std::move(vocabulary.tokens));
    fields.set("tokenizer.ggml.token_type", std::move(vocabulary.types));
    if (std::string chat = chat_template_text(input.files); !chat.empty()) {
        fields.set("tokenizer.chat_template", std::move(chat));
    }
}

} // namespace

void add_vocabulary(tensor::GgufFields& fields, const VocabularyInput& input)
{
    const auto file = input.files.find("tokenizer.json");
    if (file == input.files.end()) {
        fail(ErrorCode::FileNotFound, "the model has no tokenizer.json, which GGUF is written from",
            {{"file", "tokenizer.json"}}, "Export in another format.");
    }
    if (input.rows <= 0 || input.rows > kMaxTokens) {
        corrupt("the embedding has an impossible number of rows", std::to_string(input.rows));
    }
    try {
        add_fields(fields, input, file->second);
    } catch (const Json::exception& error) {
        corrupt("the tokenizer's files hold values of another kind", error.what());
    }
}

} // namespace bitsmith::exporting
