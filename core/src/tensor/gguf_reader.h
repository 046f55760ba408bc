// SPDX-License-Identifier: GPL-3.0-or-later
// Bounded reader of one GGUF file (formats.md 6.1, ahead.md 4.2). All integers are little-endian.
//
//   magic        4 bytes  "GGUF"
//   version      u32      3 (2 has the same layout; 1 used u32 lengths and is refused; a version
//                         whose low 16 bits are zero means a big-endian file, refused as well)
//   n_tensors    u64
//   n_kv         u64
//   kv[n_kv]:    key string, u32 value type, value
//   tensor[n_tensors]:
//                name string (1..63 bytes), u32 n_dims (1..4), u64 ne[n_dims], u32 type, u64 offset
//   zero bytes up to a multiple of the alignment (general.alignment, u32, default 32)
//   data         tensors at their offsets, counted from here; each offset is aligned
//
//   string       u64 byte length, UTF-8 bytes
//   value        0 u8 | 1 i8 | 2 u16 | 3 i16 | 4 u32 | 5 i32 | 6 f32 | 7 bool (1 byte, 0 or 1)
//                | 8 string | 9 array: u32 element type (not 9), u64 count, elements back to back
//                | 10 u64 | 11 i64 | 12 f64
//
//   ne[0] is the length of a row and runs fastest, so shapes here are ne in reverse. A row holds a
//   whole number of blocks of its type.
#pragma once

#include "base/mapped_file.h"
#include "tensor/gguf_metadata.h"
#include "tensor/gguf_types.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::tensor {

struct GgufTensor
{
    std::string name;
    std::vector<int64_t> shape; ///< outermost first: a linear weight is [out, in]
    const GgufTypeInfo* type = nullptr;
    std::size_t begin = 0; ///< from the start of the file
    std::size_t bytes = 0;
};

class GgufReader
{
public:
    /// Checks the whole header before it returns; memory grows with the bytes read, never with a
    /// number that the file states. Throws FileCorrupt naming file and field.
    explicit GgufReader(std::shared_ptr<const ByteSource> bytes);

    const GgufMetadata& metadata() const { return metadata_; }
    /// In the file's order.
    const std::vector<GgufTensor>& tensors() const { return tensors_; }
    /// Fills `to` with stored bytes of a tensor of this reader from `offset` on.
    void read(const GgufTensor& tensor, std::size_t offset, std::span<std::byte> to) const;
    /// All of them.
    std::vector<std::byte> data(const GgufTensor& tensor) const;
    const std::string& name() const { return bytes_->name(); }
    void check_unchanged() const { bytes_->check_unchanged(); }

private:
    std::shared_ptr<const ByteSource> bytes_;
    GgufMetadata metadata_;
    std::vector<GgufTensor> tensors_;
};

} // namespace bitsmith::tensor
