// SPDX-License-Identifier: GPL-3.0-or-later
// Streaming writer of one GGUF file, version 3, little-endian (formats.md 6.1; the layout stands in
// tensor/gguf_reader.h). Names, shapes and types follow from the plan, so the header is written
// first and tensors follow one at a time.
#pragma once

#include "base/file_ops.h"
#include "tensor/gguf_types.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace bitsmith::exporting {

/// u32, i32, f32, bool, string, and arrays of strings, i32, f32.
using GgufField = std::variant<uint32_t, int32_t, float, bool, std::string,
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
    tensor::GgufType type = tensor::GgufType::F32;

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
    /// Throws Internal when a tensor is missing; flushes and closes.
    void finish();

private:
    std::unique_ptr<ByteSink> sink_;
    std::vector<GgufTensorHeader> tensors_;
    std::size_t next_ = 0;
};

} // namespace bitsmith::exporting
