// SPDX-License-Identifier: GPL-3.0-or-later
// Tokenizer of a model folder: text to token ids and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct bsb_tokenizer;
struct bsb_stream;

namespace bitsmith::hf {

/// Longest text of one `encode` call; longer texts are cut by the caller, who knows where.
inline constexpr int64_t kMaxTextBytes = 16LL << 20;

/// A loaded `tokenizer.json`. Move-only; const functions may be called from several threads.
class Tokenizer
{
public:
    /// Throws FileNotFound, and FileCorrupt naming the file: bad JSON, unknown parts, merges of
    /// absent tokens, an id that two tokens share, an added token under another id.
    static Tokenizer from_file(const std::filesystem::path& tokenizer_json);
    /// `origin` stands for the file in messages.
    static Tokenizer from_json(std::string_view json, std::string_view origin);

    Tokenizer(Tokenizer&&) noexcept = default;
    Tokenizer& operator=(Tokenizer&&) noexcept = default;
    ~Tokenizer() = default;

    /// Throws FileCorrupt naming the byte where `text` is not UTF-8, InvalidSpec above
    /// kMaxTextBytes.
    std::vector<int32_t> encode(std::string_view text, bool add_special_tokens) const;
    /// Ids without a token are left out; incomplete UTF-8 becomes U+FFFD.
    std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;
    /// Highest id, added tokens included, plus one.
    int64_t vocab_size() const;
    std::optional<int32_t> token_to_id(std::string_view token) const;
    std::optional<std::string> id_to_token(int32_t id) const;

private:
    friend class TextStream;
    struct Free
    {
        void operator()(bsb_tokenizer* tokenizer) const;
    };
    explicit Tokenizer(bsb_tokenizer* native);

    std::unique_ptr<bsb_tokenizer, Free> native_;
};

/// Decodes a generation id by id. Special tokens are left out. The tokenizer may be moved, and must
/// live as long as the stream.
class TextStream
{
public:
    explicit TextStream(const Tokenizer& tokenizer);

    /// The text that became complete with this id; empty inside a character of several tokens.
    std::string push(int32_t id);

private:
    struct Free
    {
        void operator()(bsb_stream* stream) const;
    };

    const bsb_tokenizer* tokenizer_;
    std::unique_ptr<bsb_stream, Free> native_;
};

} // namespace bitsmith::hf
