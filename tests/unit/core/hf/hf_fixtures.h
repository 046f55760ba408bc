// SPDX-License-Identifier: GPL-3.0-or-later
// A toy tokenizer, and the files beside the checkout that tests read when they are there.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

namespace bitsmith {

/// Path of a fixture; nothing when the fixtures are not there.
inline std::optional<std::filesystem::path> fixture(const std::string& name)
{
    const char* folder = std::getenv("BITSMITH_FIXTURES");
    const char* source = std::getenv("BITSMITH_SOURCE_DIR");
    std::filesystem::path path;
    if (folder != nullptr) {
        path = std::filesystem::path(folder) / name;
    } else if (source != nullptr) {
        path = std::filesystem::path(source) / ".." / "shared" / "fixtures" / name;
    }
    return !path.empty() && std::filesystem::exists(path) ? std::optional(path) : std::nullopt;
}

inline std::string read_fixture(const std::filesystem::path& file)
{
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// Byte-level BPE: a 1, b 2, c 3, ab 4, the bytes of é 5 and 6, x 7; <s> 0 is put in front, <end> 8
/// is special.
inline std::string toy_tokenizer_json()
{
    return R"({
  "version": "1.0", "truncation": null, "padding": null,
  "added_tokens": [
    {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
    {"id": 8, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
  ],
  "normalizer": null,
  "pre_tokenizer": null,
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
  "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
    "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
    "vocab": {"<s>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "Ã": 5, "©": 6, "x": 7},
    "merges": ["a b"]}
})";
}

} // namespace bitsmith
