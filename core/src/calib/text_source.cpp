// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/text_source.h"

#include "base/file_ops.h"
#include "base/json_io.h"
#include "base/text.h"

#include <bitsmith/error.h>

#include <array>
#include <utility>

namespace bitsmith::calib {

namespace {

/// Length of the UTF-8 sequence that starts with `lead` and the bits its lead byte carries; 0 for no lead byte.
int sequence_length(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead < 0xE0) {
        return 2;
    }
    if (lead >= 0xE0 && lead < 0xF0) {
        return 3;
    }
    if (lead >= 0xF0 && lead < 0xF5) {
        return 4;
    }
    return 0;
}

bool is_sequence(std::string_view text, std::size_t at, int length)
{
    if (at + static_cast<std::size_t>(length) > text.size()) {
        return false;
    }
    for (int i = 1; i < length; ++i) {
        if ((static_cast<unsigned char>(text[at + static_cast<std::size_t>(i)]) & 0xC0) != 0x80) {
            return false;
        }
    }
    const auto lead = static_cast<unsigned char>(text[at]);
    const auto second = length > 1 ? static_cast<unsigned char>(text[at + 1]) : 0x80;
    // Overlong forms, surrogates and values above U+10FFFF.
    return !(lead == 0xE0 && second < 0xA0) && !(lead == 0xED && second > 0x9F)
        && !(lead == 0xF0 && second < 0x90) && !(lead == 0xF4 && second > 0x8F);
}

void check_text(std::string_view text, const std::filesystem::path& file)
{
    if (text.empty()) {
        fail(ErrorCode::FileCorrupt, "the text file is empty", {{"file", file.string()}},
            "Name a file with UTF-8 text");
    }
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kCompressed = {
        {{"\x1f\x8b", "gzip"}, {"PK\x03\x04", "zip"}, {"\x28\xb5\x2f\xfd", "zstd"},
            {"BZh", "bzip2"}, {"PAR1", "parquet"}}};
    for (const auto& [magic, name] : kCompressed) {
        if (text.substr(0, magic.size()) == magic) {
            fail(ErrorCode::FileCorrupt, concat("this is ", name, " data, not text"),
                {{"file", file.string()}}, "Unpack it first and name the text, JSON or JSONL file");
        }
    }
    if (const int64_t bad = first_bad_byte(text); bad >= 0) {
        fail(ErrorCode::FileCorrupt, "the file is not UTF-8 text",
            {{"file", file.string()}, {"byte offset", std::to_string(bad)}},
            "Convert it to UTF-8 or name another file");
    }
}

std::string field_names(const Json& object)
{
    std::vector<std::string> names;
    for (const auto& [key, value] : object.items()) {
        names.push_back(concat("'", key, "'", value.is_string() ? "" : " (not text)"));
    }
    return join(names, ", ");
}

std::optional<Document> messages_from(const Json& list)
{
    Document document;
    for (const Json& message : list) {
        const Json* role = nullptr;
        const Json* content = nullptr;
        if (message.is_object()) {
            role = message.contains("role") ? &message["role"]
                : message.contains("from")  ? &message["from"]
                                            : nullptr;
            content = message.contains("content") ? &message["content"]
                : message.contains("value")       ? &message["value"]
                                                  : nullptr;
        }
        if (role == nullptr || content == nullptr || !role->is_string() || !content->is_string()) {
            return std::nullopt;
        }
        std::string name = role->get<std::string>();
        name = name == "human" ? "user" : name == "gpt" ? "assistant" : name;
        document.messages.emplace_back(name, content->get<std::string>());
    }
    return document.messages.empty() ? std::nullopt : std::optional(document);
}

Document found_document(
    const Json& value, const std::filesystem::path& file, const std::string& where)
{
    if (value.is_string()) {
        return {value.get<std::string>(), {}};
    }
    if (value.is_object()) {
        for (const char* key : {"messages", "conversations"}) {
            if (value.contains(key) && value[key].is_array()) {
                if (auto document = messages_from(value[key])) {
                    return *document;
                }
            }
        }
        if (value.contains("prompt") && value["prompt"].is_string()) {
            std::string text = value["prompt"].get<std::string>();
            for (const char* key : {"response", "completion"}) {
                if (value.contains(key) && value[key].is_string()) {
                    text += "\n" + value[key].get<std::string>();
                }
            }
            return {text, {}};
        }
        for (const char* key : {"text", "content"}) {
            if (value.contains(key) && value[key].is_string()) {
                return {value[key].get<std::string>(), {}};
            }
        }
    }
    fail(ErrorCode::FileCorrupt, "a record holds no text",
        {{"file", file.string()}, {"record", where},
            {"found", value.is_object() ? field_names(value) : value.type_name()},
            {"allowed", "a string, or an object with 'text', 'content', 'prompt' or 'messages'"}});
}

/// `where` names the record in messages: "line 7" or "entry 7".
Document document_from(
    const Json& value, const std::filesystem::path& file, const std::string& where)
{
    Document document = found_document(value, file, where);
    // check_text saw the bytes of the file; an escape can still make a NUL.
    const auto has_nul = [](const std::string& text) {
        return text.find('\0') != std::string::npos;
    };
    if (has_nul(document.text)
        || std::any_of(document.messages.begin(), document.messages.end(),
            [&](const auto& message) { return has_nul(message.second); })) {
        fail(ErrorCode::FileCorrupt, "a text holds a NUL character",
            {{"file", file.string()}, {"record", where}}, "Remove the \\u0000 from the text");
    }
    return document;
}

std::vector<Document> from_json(const std::string& text, const std::filesystem::path& file)
{
    const Json root = parse_json(text, file.string(), {kMaxTextBytes, 64});
    const Json* list = &root;
    for (const char* key : {"data", "train"}) {
        if (root.is_object() && root.contains(key) && root[key].is_array()) {
            list = &root[key];
        }
    }
    if (!list->is_array()) {
        return {document_from(root, file, "the file")};
    }
    std::vector<Document> documents;
    for (std::size_t i = 0; i < list->size(); ++i) {
        documents.push_back(document_from((*list)[i], file, concat("entry ", i)));
    }
    return documents;
}

std::vector<Document> from_json_lines(std::string_view text, const std::filesystem::path& file)
{
    std::vector<Document> documents;
    for (int64_t line = 1; !text.empty(); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view record = text.substr(0, end);
        if (record.find_first_not_of(" \t\r") != std::string_view::npos) {
            const std::string where = concat("line ", line);
            documents.push_back(
                document_from(parse_json(record, concat(file.string(), ", ", where)), file, where));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return documents;
}

} // namespace

int64_t first_bad_byte(std::string_view text)
{
    std::size_t at = 0;
    while (at < text.size()) {
        const int length = sequence_length(static_cast<unsigned char>(text[at]));
        if (text[at] == '\0' || length == 0 || !is_sequence(text, at, length)) {
            return static_cast<int64_t>(at);
        }
        at += static_cast<std::size_t>(length);
    }
    return -1;
}

std::vector<Document> read_documents(const std::filesystem::path& file)
{
    const std::string text = read_text_file(file, kMaxTextBytes);
    check_text(text, file);
    const std::string extension = lower(file.extension().string());
    std::vector<Document> documents;
    if (extension == ".json") {
        documents = from_json(text, file);
    } else if (extension == ".jsonl" || extension == ".ndjson") {
        documents = from_json_lines(text, file);
    } else {
        documents.push_back({text, {}});
    }
    if (documents.empty()) {
        fail(ErrorCode::FileCorrupt, "the file holds no record", {{"file", file.string()}});
    }
    return documents;
}

} // namespace bitsmith::calib
