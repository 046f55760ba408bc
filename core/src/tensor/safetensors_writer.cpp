// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/safetensors_writer.h"

#include "base/json_io.h"
#include "base/text.h"
#include "tensor/dtype.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <array>
#include <cstdio>
#include <set>

namespace bitsmith::tensor {

namespace {

/// Header text: metadata first, padded with blanks so that the data begins at a multiple of 8.
std::string header_of(
    const std::vector<TensorEntry>& entries, std::map<std::string, std::string> metadata)
{
    metadata.emplace("format", "pt"); // some versions of transformers demand it
    std::string text = "{\"__metadata__\":" + Json(metadata).dump();
    std::set<std::string_view> names;
    int64_t at = 0;
    for (const TensorEntry& entry : entries) {
        BITSMITH_ASSERT(names.insert(entry.name).second);
        const Json value = {{"dtype", entry.dtype}, {"shape", entry.shape},
            {"data_offsets", {at, at + entry.bytes}}};
        text += "," + Json(entry.name).dump() + ":" + value.dump();
        at += entry.bytes;
    }
    text += "}";
    text.append((8 - text.size() % 8) % 8, ' ');
    return text;
}

void write_header(ByteSink& sink, const std::string& text)
{
    std::array<std::byte, 8> length = {};
    for (std::size_t i = 0; i < length.size(); ++i) {
        length[i] = static_cast<std::byte>(uint64_t{text.size()} >> (8 * i));
    }
    sink.write(length);
    sink.write(std::as_bytes(std::span(text.data(), text.size())));
}

void check_as_declared(const TensorEntry& entry, std::string_view name, const at::Tensor& tensor)
{
    const bool same = entry.name == name && tensor.sizes() == at::IntArrayRef(entry.shape)
        && safetensors_word(tensor.scalar_type()) == entry.dtype;
    if (!same) {
        fail(ErrorCode::Internal, "a tensor is not as declared",
            {{"declared", concat(entry.name, " ", entry.dtype, " ", shape_text(entry.shape))},
                {"given",
                    concat(name, " ", safetensors_word(tensor.scalar_type()), " ",
                        shape_text(tensor.sizes().vec()))}});
    }
}

/// Name of the module that a tensor belongs to.
std::string_view module_of(std::string_view name)
{
    return name.substr(0, name.rfind('.'));
}

/// Greedy filling in the declared order; the tensors of one module stay together (formats.md 1.2).
std::vector<std::vector<TensorEntry>> split_into_shards(
    const std::vector<TensorEntry>& entries, int64_t max_shard_bytes)
{
    std::vector<std::vector<TensorEntry>> shards(1);
    int64_t filled = 0;
    for (std::size_t i = 0; i < entries.size();) {
        std::size_t end = i;
        int64_t bytes = 0;
        while (end < entries.size() && module_of(entries[end].name) == module_of(entries[i].name)) {
            bytes += entries[end++].bytes;
        }
        if (filled > 0 && filled + bytes > max_shard_bytes) {
            shards.emplace_back();
            filled = 0;
        }
        filled += bytes;
        for (; i < end; ++i) {
            shards.back().push_back(entries[i]);
        }
    }
    return shards;
}

std::string shard_name(std::size_t index, std::size_t count)
{
    if (count == 1) {
        return "model.safetensors";
    }
    std::array<char, 64> name = {};
    std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", index + 1, count);
    return name.data();
}

} // namespace

TensorEntry entry_for(std::string name, std::vector<int64_t> shape, c10::ScalarType type)
{
    auto bytes = static_cast<int64_t>(c10::elementSize(type));
    for (const int64_t size : shape) {
        BITSMITH_ASSERT(size >= 0 && !__builtin_mul_overflow(bytes, size, &bytes));
    }
    return {std::move(name), std::move(shape), std::string(safetensors_word(type)), bytes};
}

SafetensorsFileWriter::SafetensorsFileWriter(FileSystem& fs, const std::filesystem::path& file,
    std::vector<TensorEntry> entries, const std::map<std::string, std::string>& metadata)
    : sink_(fs.create(file))
    , entries_(std::move(entries))
{
    write_header(*sink_, header_of(entries_, metadata));
}

void SafetensorsFileWriter::write(std::string_view name, const at::Tensor& tensor)
{
    BITSMITH_ASSERT(next_ < entries_.size());
    check_as_declared(entries_[next_], name, tensor);
    const at::Tensor plain = tensor.detach().cpu().contiguous();
    sink_->write({static_cast<const std::byte*>(plain.const_data_ptr()), plain.nbytes()});
    ++next_;
}

void SafetensorsFileWriter::finish()
{
    if (next_ != entries_.size()) {
        fail(ErrorCode::Internal, "a declared tensor was not written",
            {{"tensor", entries_[next_].name}});
    }
    sink_->finish();
}

void publish_safetensors(FileSystem& fs, const std::filesystem::path& file,
    const std::vector<std::pair<std::string, at::Tensor>>& tensors,
    const std::map<std::string, std::string>& metadata)
{
    std::vector<TensorEntry> entries;
    for (const auto& [name, tensor] : tensors) {
        entries.push_back(entry_for(name, tensor.sizes().vec(), tensor.scalar_type()));
    }
    publish(fs, file, [&](const std::filesystem::path& temporary) {
        SafetensorsFileWriter writer(fs, temporary, std::move(entries), metadata);
        for (const auto& [name, tensor] : tensors) {
            writer.write(name, tensor);
        }
        writer.finish();
    });
}

struct ShardedWriter::Impl
{
    FileSystem& fs;
    std::filesystem::path folder;
    std::vector<std::vector<TensorEntry>> shards;
    std::map<std::string, std::string> metadata;
    std::unique_ptr<SafetensorsFileWriter> writer;
    std::size_t shard = 0; ///< the one in work
    std::size_t written = 0; ///< of its entries
    std::vector<std::filesystem::path> files;

    void open_shard()
    {
        files.push_back(folder / shard_name(shard, shards.size()));
        writer = std::make_unique<SafetensorsFileWriter>(fs, files.back(), shards[shard], metadata);
        written = 0;
    }
    void close_shard()
    {
        writer->finish();
        writer.reset();
        ++shard;
    }
    void write_index()
    {
        Json map = Json::object();
        int64_t total = 0;
        for (std::size_t i = 0; i < shards.size(); ++i) {
            for (const TensorEntry& entry : shards[i]) {
                // Appended like in json_io: no search for the key, names are known to be unique.
                map.get_ref<Json::object_t&>().emplace_back(
                    entry.name, shard_name(i, shards.size()));
                total += entry.bytes;
            }
        }
        const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}};
        files.push_back(folder / "model.safetensors.index.json");
        publish_file(fs, files.back(), index.dump(2) + "\n");
    }
};

ShardedWriter::ShardedWriter(FileSystem& fs, std::filesystem::path folder,
    std::vector<TensorEntry> entries, int64_t max_shard_bytes,
    std::map<std::string, std::string> metadata)
    : impl_(std::make_unique<Impl>(Impl{fs, std::move(folder),
        split_into_shards(entries, max_shard_bytes), std::move(metadata), nullptr, 0, 0, {}}))
{
    std::set<std::string_view> names;
    for (const TensorEntry& entry : entries) {
        BITSMITH_ASSERT(names.insert(entry.name).second);
    }
}

ShardedWriter::~ShardedWriter() = default;

void ShardedWriter::write(std::string_view name, const at::Tensor& tensor)
{
    BITSMITH_ASSERT(impl_->shard < impl_->shards.size());
    if (impl_->writer == nullptr) {
        impl_->open_shard();
    }
    impl_->writer->write(name, tensor);
    if (++impl_->written == impl_->shards[impl_->shard].size()) {
        impl_->close_shard();
    }
}

std::vector<std::filesystem::path> ShardedWriter::finish()
{
    if (impl_->shards.size() == 1 && impl_->shards.front().empty()) {
        impl_->open_shard();
        impl_->close_shard();
    }
    if (impl_->shard != impl_->shards.size()) {
        const std::size_t next = impl_->writer == nullptr ? 0 : impl_->written;
        fail(ErrorCode::Internal, "a declared tensor was not written",
            {{"tensor", impl_->shards[impl_->shard][next].name}});
    }
    if (impl_->shards.size() > 1) {
        impl_->write_index();
    }
    return impl_->files;
}

} // namespace bitsmith::tensor
