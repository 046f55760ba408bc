// SPDX-License-Identifier: GPL-3.0-or-later
// Streaming writers of GGUF, version 3, little-endian (formats.md 6.1; the layout stands in
// tensor/gguf_reader.h): one file, and a model that may be split over several (6.9). Names, shapes
// and types are known beforehand, so the header is written first and tensors follow one at a time.
#pragma once

#include "base/file_ops.h"
#include "tensor/gguf_types.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace bitsmith::tensor {

/// u16, u32, i32, f32, bool, string, and arrays of strings, i32, f32.
using GgufField = std::variant<uint16_t, uint32_t, int32_t, float, bool, std::string,
    std::vector<std::string>, std::vector<int32_t>, std::vector<float>>;

/// Key-value pairs in the order written; a key given again replaces its value.
class GgufFields
{
public:
    void set(std::string key, GgufField value);
    const GgufField* find(std::string_view key) const;
    const std::vector<std::pair<std::string, GgufField>>& fields() const { return fields_; }

private:
    std::vector<std::pair<std::string, GgufField>> fields_;
};

/// A tensor to be written: shape outermost first ([out, in]), as in the reader.
struct GgufTensorHeader
{
    std::string name;
    std::vector<int64_t> shape;
    GgufType type = GgufType::F32;

    /// Stored size without padding. Throws ShapeMismatch when rows do not hold whole blocks.
    int64_t bytes() const;
};

inline constexpr int64_t kGgufAlignment = 32;

/// Magic, counts, pairs, tensor infos and padding: everything before the data.
std::vector<std::byte> gguf_header(
    const GgufFields& fields, const std::vector<GgufTensorHeader>& tensors);

class GgufWriter
{
public:
    /// Writes the header. Throws WriteFailed, ShapeMismatch, Internal for names that GGUF does not
    /// allow.
    GgufWriter(FileSystem& fs, const std::filesystem::path& file, const GgufFields& fields,
        std::vector<GgufTensorHeader> tensors);
    /// Next tensor in the declared order, of exactly its size.
    void write(std::string_view name, std::span<const std::byte> bytes);
    /// Whether every declared tensor was written.
    bool is_complete() const { return next_ == tensors_.size(); }
    /// Throws Internal when a tensor is missing; flushes and closes.
    void finish();

private:
    std::unique_ptr<ByteSink> sink_;
    std::vector<GgufTensorHeader> tensors_;
    std::size_t next_ = 0;
};

/// The tensors of each file of a model, in order: one file when all data fits `max_bytes`. A tensor
/// is never divided, so one that is larger has a file of its own. Headers do not count, as they do
/// not in llama.cpp's gguf-split. Throws InvalidSpec for more parts than split.count can say.
std::vector<std::vector<GgufTensorHeader>> split_gguf(
    const std::vector<GgufTensorHeader>& tensors, int64_t max_bytes);

/// "STEM-00001-of-00003.gguf" for part 0 of 3; "STEM.gguf" for the only one.
std::string gguf_part_name(std::string_view stem, std::size_t part, std::size_t count);

/// A model in as many files as split_gguf says. The first one has all fields; each part of several
/// has split.no, split.count and split.tensors.count.
class SplitGgufWriter
{
public:
    /// Throws as GgufWriter and split_gguf do.
    SplitGgufWriter(FileSystem& fs, std::filesystem::path folder, std::string stem,
        GgufFields fields, const std::vector<GgufTensorHeader>& tensors, int64_t max_bytes);
    /// Next tensor in the declared order, of exactly its size.
    void write(std::string_view name, std::span<const std::byte> bytes);
    /// Throws Internal when a tensor is missing; flushes and closes.
    void finish();

private:
    void begin_part();

    FileSystem& fs_;
    std::filesystem::path folder_;
    std::string stem_;
    GgufFields fields_; ///< of the next part
    std::vector<std::vector<GgufTensorHeader>> parts_;
    std::size_t next_ = 0; ///< part that was not begun yet
    std::optional<GgufWriter> writer_;
};

} // namespace bitsmith::tensor
