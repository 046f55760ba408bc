// SPDX-License-Identifier: GPL-3.0-or-later
// Reader of one safetensors file (formats.md 1.1).
//
// Layout: u64 little-endian header length N; N bytes of JSON {"name": {"dtype", "shape",
// "data_offsets": [begin, end]}, "__metadata__": {str: str}}; then the data, offsets relative to
// it, contiguous and in order without holes.
#pragma once

#include "base/mapped_file.h"
#include "tensor/tensor_source.h"

#include <map>

namespace bitsmith::tensor {

class SafetensorsReader : public TensorSource
{
public:
    /// Checks everything before it returns; throws FileCorrupt naming file and entry.
    explicit SafetensorsReader(std::shared_ptr<const ByteSource> bytes);

    const std::vector<TensorEntry>& entries() const override { return entries_; }
    const TensorEntry* find(std::string_view name) const override;
    at::Tensor load(std::string_view name) const override;
    at::Tensor load_at(std::string_view name, int64_t index) const override;
    void check_unchanged() const override { bytes_->check_unchanged(); }

    /// Fills `to` with stored bytes of the tensor from `offset` on. Throws MissingTensor.
    void read(std::string_view name, std::size_t offset, std::span<std::byte> to) const;
    const std::map<std::string, std::string>& metadata() const { return metadata_; }

private:
    std::size_t index_of(std::string_view name) const;

    std::shared_ptr<const ByteSource> bytes_;
    std::vector<TensorEntry> entries_;
    std::vector<std::size_t> begins_; ///< offset of each entry's data in the file
    std::map<std::string, std::size_t, std::less<>> index_;
    std::map<std::string, std::string> metadata_;
};

} // namespace bitsmith::tensor
