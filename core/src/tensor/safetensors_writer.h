// SPDX-License-Identifier: GPL-3.0-or-later
// Streaming writers of safetensors: one file whose entries are known beforehand, and a sharded
// checkpoint.
#pragma once

#include "base/file_ops.h"
#include "tensor/tensor_source.h"

#include <map>

namespace bitsmith::tensor {

/// One file. Entries are declared first (shapes and types follow from the plan), then written in
/// the same order.
class SafetensorsFileWriter
{
public:
    SafetensorsFileWriter(FileSystem& fs, const std::filesystem::path& file,
        std::vector<TensorEntry> entries, const std::map<std::string, std::string>& metadata = {});
    /// Next entry: type and shape must be as declared. Any device, any layout.
    void write(std::string_view name, const at::Tensor& tensor);
    /// Throws Internal when an entry is missing; flushes and closes.
    void finish();

private:
    std::unique_ptr<ByteSink> sink_;
    std::vector<TensorEntry> entries_;
    std::size_t next_ = 0;
};

/// Writes a small set of tensors at once, published atomically.
void publish_safetensors(FileSystem& fs, const std::filesystem::path& file,
    const std::vector<std::pair<std::string, at::Tensor>>& tensors,
    const std::map<std::string, std::string>& metadata = {});

/// A checkpoint in shards: `model.safetensors` when it fits one shard, otherwise
/// `model-00001-of-0000N.safetensors` plus index. All entries are declared first.
class ShardedWriter
{
public:
    /// `metadata` stands in every shard.
    ShardedWriter(FileSystem& fs, std::filesystem::path folder, std::vector<TensorEntry> entries,
        int64_t max_shard_bytes, std::map<std::string, std::string> metadata = {});
    ~ShardedWriter();
    /// In the declared order.
    void write(std::string_view name, const at::Tensor& tensor);
    /// Last shard and index; returns the files written.
    std::vector<std::filesystem::path> finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Entry for a tensor to be written.
TensorEntry entry_for(std::string name, std::vector<int64_t> shape, c10::ScalarType type);

} // namespace bitsmith::tensor
