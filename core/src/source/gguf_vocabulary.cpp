// SPDX-License-Identifier: GPL-3.0-or-later
// The vocabulary's own consistency, and merges from scores.
#include "base/text.h"
#include "source/gguf_tokenizer.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace bitsmith::source {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr int64_t kNormal = 1;
constexpr int64_t kUserDefined = 4;
constexpr int64_t kLastType = 6;
// Longest piece whose splits are looked at; SentencePiece trains pieces of up to 16 characters.
// Without a limit one long token would cost the square of its length.
constexpr std::size_t kMaxPieceBytes = 256;

/// SentencePiece's own ids, for files that leave them out (formats.md 6.7).
std::optional<int64_t> default_special_id(std::string_view key, int64_t n_tokens)
{
    for (const auto& [name, id] : {std::pair{"unknown_token_id", int64_t{0}},
             std::pair{"bos_token_id", int64_t{1}}, std::pair{"eos_token_id", int64_t{2}}}) {
        if (key == name && id < n_tokens) {
            return id;
        }
    }
    return std::nullopt;
}

/// Where characters begin in UTF-8 text, without the first.
std::vector<std::size_t> inner_boundaries(std::string_view text)
{
    std::vector<std::size_t> result;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) {
            result.push_back(i);
        }
    }
    return result;
}

struct ScoredMerge
{
    double score = 0;
    int64_t left_id = 0, right_id = 0;
    std::string_view left, right;
};

using Ids = std::unordered_map<std::string_view, int64_t>;

Ids mergeable_pieces(const GgufVocabulary& vocabulary)
{
    Ids ids;
    for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
        const bool is_piece =
            vocabulary.types[id] == kNormal || vocabulary.types[id] == kUserDefined;
        if (is_piece && vocabulary.tokens[id].size() <= kMaxPieceBytes) {
            ids.emplace(vocabulary.tokens[id], static_cast<int64_t>(id));
        }
    }
    return ids;
}

/// Every split of one piece into two, in the order of their ids.
void append_splits(
    std::string_view piece, double score, const Ids& ids, std::vector<ScoredMerge>& merges)
{
    const auto first = static_cast<std::ptrdiff_t>(merges.size());
    for (const std::size_t boundary : inner_boundaries(piece)) {
        const auto left = ids.find(piece.substr(0, boundary));
        const auto right = ids.find(piece.substr(boundary));
        if (left != ids.end() && right != ids.end()) {
            merges.push_back({score, left->second, right->second, left->first, right->first});
        }
    }
    std::sort(merges.begin() + first, merges.end(), [](const ScoredMerge& a, const ScoredMerge& b) {
        return std::pair(a.left_id, a.right_id) < std::pair(b.left_id, b.right_id);
    });
}

} // namespace

GgufVocabulary::GgufVocabulary(const tensor::GgufMetadata& source)
    : metadata(source)
{
    const auto stored = metadata.texts(concat(kPrefix, "tokens"));
    if (!stored || stored->empty()) {
        corrupt("tokens", "absent", "the tokens' texts");
    }
    tokens = *stored;
    types = metadata.integers(concat(kPrefix, "token_type"))
                .value_or(std::vector<int64_t>(tokens.size(), kNormal));
    if (types.size() != tokens.size()) {
        corrupt("token_type", concat(types.size(), " values"),
            concat(tokens.size(), ", one per token"));
    }
    std::unordered_map<std::string_view, std::size_t> seen;
    for (std::size_t id = 0; id < tokens.size(); ++id) {
        if (types[id] < 0 || types[id] > kLastType) {
            corrupt("token_type", concat(types[id], " for token ", id), "0 to 6");
        }
        const auto [other, is_new] = seen.emplace(tokens[id], id);
        if (!is_new) {
            corrupt("tokens", concat("tokens ", other->second, " and ", id, " are the same"),
                "each token once");
        }
    }
}

void GgufVocabulary::corrupt(
    std::string_view field, std::string_view found, std::string allowed) const
{
    fail(ErrorCode::FileCorrupt, "GGUF vocabulary contradicts itself",
        {{"file", metadata.file()}, {"field", concat(kPrefix, field)}, {"found", printable(found)},
            {"allowed", std::move(allowed)}});
}

bool GgufVocabulary::is_filler(std::size_t id) const
{
    return types[id] != kNormal && tokens[id] == concat("[PAD", id, "]");
}

std::optional<int64_t> GgufVocabulary::special_id(std::string_view key) const
{
    const auto id = metadata.integer(concat(kPrefix, key));
    if (!id && metadata.text(concat(kPrefix, "model")) == "llama") {
        return default_special_id(key, size());
    }
    if (id && (*id < 0 || *id >= size())) {
        corrupt(key, concat(*id), concat("0 to ", size() - 1));
    }
    return id;
}

std::optional<std::string> GgufVocabulary::special(std::string_view key) const
{
    const auto id = special_id(key);
    return id ? std::optional(std::string(tokens[static_cast<std::size_t>(*id)])) : std::nullopt;
}

std::vector<std::pair<std::string_view, std::string_view>> merges_from_scores(
    const GgufVocabulary& vocabulary, const std::vector<double>& scores)
{
    const Ids ids = mergeable_pieces(vocabulary);
    double low = INFINITY;
    double high = -INFINITY;
    for (const auto& [piece, id] : ids) {
        const double score = scores[static_cast<std::size_t>(id)];
        if (!std::isfinite(score)) {
            vocabulary.corrupt("scores", concat(score, " for token ", id), "finite numbers");
        }
        low = std::min(low, score);
        high = std::max(high, score);
    }
    std::vector<ScoredMerge> merges;
    for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
        const std::string_view piece = vocabulary.tokens[id];
        if (ids.count(piece) != 0) {
            append_splits(piece, low < high ? scores[id] : -static_cast<double>(id), ids, merges);
        }
    }
    // Equal scores keep the order of ids, as in the published tokenizer.json files.
    std::stable_sort(merges.begin(), merges.end(),
        [](const ScoredMerge& a, const ScoredMerge& b) { return a.score > b.score; });
    std::vector<std::pair<std::string_view, std::string_view>> result;
    result.reserve(merges.size());
    for (const ScoredMerge& merge : merges) {
        result.emplace_back(merge.left, merge.right);
    }
    return result;
}

} // namespace bitsmith::source
