// SPDX-License-Identifier: GPL-3.0-or-later
// Reads documents from text, JSON and JSONL files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bitsmith::calib {

/// One text, or a conversation that the model's chat template renders.
struct Document
{
    std::string text;
    std::vector<std::pair<std::string, std::string>>
        messages; ///< role, content; empty for plain text
};

/// Documents of one file in file order.
///   .json   an array of strings or objects, or an object with such an array under "data" or "train"
///   .jsonl  one string or object per line; blank lines are skipped
///   other   the whole file is one text
/// An object holds its text under "text", "content", "prompt" (+ "response" or "completion"), or a list of
/// {"role", "content"} under "messages" or "conversations".
///
/// Throws FileNotFound; FileCorrupt for an empty file, invalid UTF-8 or NUL bytes (with the byte offset),
/// compressed data, a broken line (with its number), an object without a text (with the fields it has);
/// InvalidSpec above kMaxTextBytes.
std::vector<Document> read_documents(const std::filesystem::path& file);

inline constexpr int64_t kMaxTextBytes = 1LL << 30;

/// Byte offset of the first byte that is not UTF-8 text (invalid sequence or NUL); -1 when all is well.
int64_t first_bad_byte(std::string_view text);

} // namespace bitsmith::calib
