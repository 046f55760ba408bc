// SPDX-License-Identifier: GPL-3.0-or-later
// The word for `tokenizer.ggml.pre`: how llama.cpp splits text before it merges (formats.md 6.7 and
// appendix A).
#pragma once

#include "base/json_io.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::exporting {

/// SHA-256 of a tokenizer's ids of the probe text, and the word that stands for that tokenizer.
struct PreFingerprint
{
    std::string_view sha256;
    std::string_view name;
};
std::span<const PreFingerprint> pre_fingerprints();

/// The text whose ids are hashed; UTF-8.
std::string pre_probe_text();
/// Hash of "[1, 2, 3]".
std::string pre_fingerprint(const std::vector<int64_t>& ids);

/// By fingerprint; when that is not known, by comparing pre_tokenizer and ignore_merges of
/// `tokenizer` (tokenizer.json) with what each word stands for. Throws UnsupportedModel.
std::string pre_tokenizer_name(
    const Json& tokenizer, const std::function<std::vector<int64_t>(const std::string&)>& encode);

} // namespace bitsmith::exporting
