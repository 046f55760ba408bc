// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/tokenizer.h"

#include "base/file_ops.h"
#include "hf/bridge_call.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::hf {

namespace {

/// "text is not UTF-8 at byte N" and what the crate says about a text.
[[noreturn]] void fail_on_text(bsb_status status, const BridgeError& error)
{
    if (status == BSB_PANIC) {
        fail(ErrorCode::Internal, "the tokenizer library failed: " + error.text());
    }
    fail(ErrorCode::FileCorrupt, "cannot tokenize: " + error.text());
}

std::vector<uint32_t> unsigned_ids(std::span<const int32_t> ids)
{
    if (std::any_of(ids.begin(), ids.end(), [](int32_t id) { return id < 0; })) {
        fail(ErrorCode::InvalidSpec, "a token id is negative");
    }
    return {ids.begin(), ids.end()};
}

} // namespace

void Tokenizer::Free::operator()(bsb_tokenizer* tokenizer) const
{
    bsb_tokenizer_free(tokenizer);
}

Tokenizer::Tokenizer(bsb_tokenizer* native)
    : native_(native)
{ }

Tokenizer Tokenizer::from_file(const std::filesystem::path& tokenizer_json)
{
    return from_json(read_text_file(tokenizer_json), tokenizer_json.string());
}

Tokenizer Tokenizer::from_json(std::string_view json, std::string_view origin)
{
    bsb_tokenizer* native = nullptr;
    BridgeError error;
    if (bsb_tokenizer_load(bytes_of(json), json.size(), &native, error.out()) != BSB_OK) {
        fail(ErrorCode::FileCorrupt, "not a tokenizer that can be used: " + error.text(),
            {{"file", std::string(origin)}},
            "download the file again, or take the tokenizer.json of the original model");
    }
    return Tokenizer(native);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const
{
    if (static_cast<int64_t>(text.size()) > kMaxTextBytes) {
        fail(ErrorCode::InvalidSpec,
            "a text of " + std::to_string(text.size()) + " bytes is too long to tokenize at once",
            {{"limit", std::to_string(kMaxTextBytes)}}, "split it into several documents");
    }
    bsb_ids ids{nullptr, 0, 0};
    BridgeError error;
    const bsb_status status = bsb_tokenizer_encode(
        native_.get(), bytes_of(text), text.size(), add_special_tokens ? 1 : 0, &ids, error.out());
    if (status != BSB_OK) {
        fail_on_text(status, error);
    }
    const std::unique_ptr<bsb_ids, void (*)(bsb_ids*)> guard(
        &ids, [](bsb_ids* owned) { bsb_ids_free(*owned); });
    return {ids.data, ids.data + ids.size};
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const
{
    const std::vector<uint32_t> native_ids = unsigned_ids(ids);
    BridgeBytes text;
    BridgeError error;
    const bsb_status status = bsb_tokenizer_decode(native_.get(), native_ids.data(),
        native_ids.size(), skip_special_tokens ? 1 : 0, text.out(), error.out());
    if (status != BSB_OK) {
        fail_on_text(status, error);
    }
    return text.text();
}

int64_t Tokenizer::vocab_size() const
{
    return bsb_tokenizer_vocab_size(native_.get());
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const
{
    const int64_t id = bsb_tokenizer_token_to_id(native_.get(), bytes_of(token), token.size());
    return id < 0 ? std::nullopt : std::optional(static_cast<int32_t>(id));
}

std::optional<std::string> Tokenizer::id_to_token(int32_t id) const
{
    BridgeBytes token;
    BridgeError error;
    if (id < 0
        || bsb_tokenizer_id_to_token(
               native_.get(), static_cast<uint32_t>(id), token.out(), error.out())
            != BSB_OK) {
        return std::nullopt;
    }
    return token.text();
}

void TextStream::Free::operator()(bsb_stream* stream) const
{
    bsb_stream_free(stream);
}

TextStream::TextStream(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer.native_.get())
    , native_(bsb_stream_new(1))
{ }

std::string TextStream::push(int32_t id)
{
    const std::vector<uint32_t> native_id = unsigned_ids(std::span(&id, 1));
    BridgeBytes text;
    BridgeError error;
    const bsb_status status =
        bsb_stream_push(native_.get(), tokenizer_, native_id.front(), text.out(), error.out());
    if (status != BSB_OK) {
        fail_on_text(status, error);
    }
    return text.text();
}

} // namespace bitsmith::hf
