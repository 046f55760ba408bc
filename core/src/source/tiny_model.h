// SPDX-License-Identifier: GPL-3.0-or-later
// A small model with random weights for tests, benches and the tour.
#pragma once

#include "base/file_ops.h"

#include <cstdint>
#include <filesystem>

namespace bitsmith::source {

/// Sizes of a Llama model. Rows and columns of every layer are multiples of 64 when hidden, inner and
/// heads times head_dim are.
struct TinyModelShape
{
    int64_t blocks = 2;
    int64_t hidden = 64;
    int64_t inner = 128;
    int64_t heads = 4;
    int64_t kv_heads = 2;
    int64_t head_dim = 32;
    int64_t max_length = 512;
    bool is_tied = false;
    uint64_t seed = 42;
    int64_t max_shard_bytes = int64_t{1} << 30;
};

/// Rows of the embedding: 256 bytes and 64 special tokens.
inline constexpr int64_t kTinyVocabulary = 320;

/// Writes config.json, generation_config.json, tokenizer.json (one token per byte), a chat template
/// in tokenizer_config.json and bf16 weights. Weights are scaled by fan-in, so hidden states neither
/// vanish nor grow. Same shape and seed: same bytes. `folder` is created; config.json is written last,
/// so a folder without it is unfinished. Throws WriteFailed, InvalidSpec for impossible sizes.
void write_tiny_model(
    FileSystem& fs, const std::filesystem::path& folder, const TinyModelShape& shape);

} // namespace bitsmith::source
