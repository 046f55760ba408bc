// SPDX-License-Identifier: GPL-3.0-or-later
// Files that travel with a model's weights: tokenizer, templates, generation config, licence.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bitsmith::source {

/// A file that belongs beside the weights in an exported folder (tokenizer, template, generation
/// config ...).
struct SideFile
{
    std::string name; ///< plain file name, or "additional_chat_templates/NAME.jinja"
    std::string bytes;
};

/// Throws FileCorrupt when `file` is a link that leads outside `folder`. The one exception is the
/// Hub cache, where files of "snapshots/REVISION" are links to "../../blobs/HASH" (ahead.md 4.7).
void require_inside(const std::filesystem::path& folder, const std::filesystem::path& file);

/// All side files of a model folder by name, byte for byte (formats.md 1.3): everything but
/// weights, indices, config.json and descriptions of an earlier quantization. Files that are not
/// taken although they may matter (too large, unsafe name) are named in `warnings`.
std::vector<SideFile> read_side_files(
    const std::filesystem::path& folder, std::vector<std::string>& warnings);

/// Kind of tokenizer that the files hold: "BPE", "Unigram", "WordPiece" ... of tokenizer.json,
/// "SentencePiece" for a lone tokenizer.model; empty when there is none.
std::string tokenizer_kind(const std::vector<SideFile>& files);
bool has_chat_template(const std::vector<SideFile>& files);

} // namespace bitsmith::source
