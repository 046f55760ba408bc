// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/tiny_tokenizer.h"

#include "base/text.h"

namespace bitsmith::source {

namespace {

constexpr const char* kChatTemplate =
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

std::string special_text(int64_t id)
{
    switch (id) {
    case kTinyBos:
        return "<|bos|>";
    case kTinyEos:
        return "<|eos|>";
    case kTinyTurnStart:
        return "<|im_start|>";
    case kTinyTurnEnd:
        return "<|im_end|>";
    case kTinyPad:
        return "<|pad|>";
    default:
        return concat("<|reserved_", id, "|>");
    }
}

/// Two-byte UTF-8 of a code point from U+0080 to U+07FF, one byte below.
std::string utf8(int code)
{
    if (code < 0x80) {
        return std::string(1, static_cast<char>(code));
    }
    return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

/// The printable character that byte-level BPE writes for each byte: itself where it is visible,
/// otherwise the next one from U+0100 on. Source: GPT-2's vocabulary.
std::vector<std::string> byte_characters()
{
    std::vector<std::string> characters;
    int next = 256;
    for (int byte = 0; byte < 256; ++byte) {
        const bool visible =
            (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        characters.push_back(utf8(visible ? byte : next++));
    }
    return characters;
}

Json added_token(int64_t id)
{
    return {{"id", id}, {"content", special_text(id)}, {"single_word", false}, {"lstrip", false},
        {"rstrip", false}, {"normalized", false}, {"special", true}};
}

Json template_piece(const char* kind, const std::string& id, int type)
{
    return {{kind, {{"id", id}, {"type_id", type}}}};
}

} // namespace

Json tiny_tokenizer(int64_t vocabulary)
{
    Json vocab = Json::object();
    const std::vector<std::string> characters = byte_characters();
    for (std::size_t byte = 0; byte < characters.size(); ++byte) {
        vocab[characters[byte]] = byte;
    }
    Json added = Json::array();
    for (int64_t id = kTinyBos; id < vocabulary; ++id) {
        added.push_back(added_token(id));
    }
    const std::string bos = special_text(kTinyBos);
    const Json first = template_piece("SpecialToken", bos, 0);
    const Json text_a = template_piece("Sequence", "A", 0);
    const Json text_b = template_piece("Sequence", "B", 1);
    const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false},
        {"trim_offsets", true}, {"use_regex", true}};
    return {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr},
        {"added_tokens", added}, {"normalizer", nullptr}, {"pre_tokenizer", byte_level},
        {"post_processor",
            {{"type", "TemplateProcessing"}, {"single", Json::array({first, text_a})},
                {"pair", Json::array({first, text_a, text_b})},
                {"special_tokens",
                    {{bos, {{"id", bos}, {"ids", {kTinyBos}}, {"tokens", {bos}}}}}}}},
        {"decoder", byte_level},
        {"model",
            {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr}, {"end_of_word_suffix", nullptr},
                {"fuse_unk", false}, {"byte_fallback", false}, {"ignore_merges", false},
                {"vocab", vocab}, {"merges", Json::array()}}}};
}

Json tiny_special_tokens()
{
    return {{"bos_token", special_text(kTinyBos)}, {"eos_token", special_text(kTinyEos)},
        {"pad_token", special_text(kTinyPad)}};
}

Json tiny_tokenizer_config(int64_t max_length)
{
    Json config = tiny_special_tokens();
    config["add_bos_token"] = true;
    config["add_eos_token"] = false;
    config["chat_template"] = kChatTemplate;
    config["clean_up_tokenization_spaces"] = false;
    config["model_max_length"] = max_length;
    config["tokenizer_class"] = "PreTrainedTokenizerFast";
    return config;
}

} // namespace bitsmith::source
