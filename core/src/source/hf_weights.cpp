// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/hf_weights.h"

#include "base/file_ops.h"
#include "base/json_io.h"
#include "base/sha256.h"
#include "base/text.h"
#include "source/side_file.h"
#include "tensor/safetensors_reader.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace bitsmith::source {

namespace {

using tensor::SafetensorsReader;
using tensor::TensorEntry;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kSingleName = "model.safetensors";

/// Several files, each tensor in exactly one of them.
class ShardSet : public tensor::TensorSource
{
public:
    void add(std::shared_ptr<const SafetensorsReader> shard, const TensorEntry& entry)
    {
        owners_.emplace(entry.name, std::pair(std::move(shard), entries_.size()));
        entries_.push_back(entry);
    }
    void keep(std::shared_ptr<const SafetensorsReader> shard)
    {
        shards_.push_back(std::move(shard));
    }

    const std::vector<TensorEntry>& entries() const override { return entries_; }
    const TensorEntry* find(std::string_view name) const override
    {
        const auto found = owners_.find(name);
        return found == owners_.end() ? nullptr : &entries_[found->second.second];
    }
    at::Tensor load(std::string_view name) const override { return shard_of(name).load(name); }
    at::Tensor load_at(std::string_view name, int64_t index) const override
    {
        return shard_of(name).load_at(name, index);
    }
    const SafetensorsReader& shard_of(std::string_view name) const
    {
        const auto found = owners_.find(name);
        if (found == owners_.end()) {
            fail(ErrorCode::MissingTensor, "the model has no such tensor",
                {{"tensor", std::string(name)}});
        }
        return *found->second.first;
    }
    void check_unchanged() const override
    {
        for (const auto& shard : shards_) {
            shard->check_unchanged();
        }
    }

private:
    std::vector<TensorEntry> entries_;
    std::map<std::string, std::pair<std::shared_ptr<const SafetensorsReader>, std::size_t>,
        std::less<>>
        owners_;
    std::vector<std::shared_ptr<const SafetensorsReader>> shards_;
};

/// What the index says.
struct Index
{
    std::string file;
    std::vector<std::pair<std::string, std::string>> weight_map; ///< tensor, shard; as written
    std::set<std::string> shards;
    Json total_size; ///< a number as written; null when there is none
};

/// The first findings of a list that may be long.
std::string some_of(const std::vector<std::string>& findings)
{
    constexpr std::size_t shown = 5;
    if (findings.size() <= shown) {
        return join(findings, "; ");
    }
    const std::vector<std::string> first(findings.begin(), findings.begin() + shown);
    return concat(join(first, "; "), "; and ", findings.size() - shown, " more");
}

void check_shard_name(const std::string& name, const std::string& index_file)
{
    if (!is_safe_file_name(name)) {
        fail(ErrorCode::FileCorrupt, "the index names a file in an unsafe way",
            {{"file", index_file}, {"found", printable(name)},
                {"allowed", "plain file names without folders, drives, streams or reserved words"}},
            "Do not use this model; fetch it again from a source you trust.");
    }
    if (!name.ends_with(".safetensors")) {
        fail(ErrorCode::FileCorrupt, "the index names a file that is not safetensors",
            {{"file", index_file}, {"found", name}},
            "Pickled weights are never read; convert them.");
    }
}

Index read_index(const std::filesystem::path& file)
{
    Index index;
    index.file = file.string();
    JsonLimits limits;
    limits.bytes = 100'000'000;
    limits.depth = 8;
    const Json json = read_json_file(file, limits);
    const auto map = json.is_object() ? json.find("weight_map") : json.end();
    if (!json.is_object() || map == json.end() || !map->is_object() || map->empty()) {
        fail(ErrorCode::FileCorrupt, "the index has no weight_map", {{"file", index.file}});
    }
    for (const auto& [name, shard] : map->items()) {
        if (!shard.is_string()) {
            fail(ErrorCode::FileCorrupt, "a value of weight_map is not a file name",
                {{"file", index.file}, {"tensor", printable(name)}});
        }
        index.weight_map.emplace_back(name, shard.get<std::string>());
        if (index.shards.insert(index.weight_map.back().second).second) {
            check_shard_name(index.weight_map.back().second, index.file);
        }
    }
    const Json metadata = json.value("metadata", Json::object());
    if (metadata.is_object() && metadata.contains("total_size")
        && metadata["total_size"].is_number()) {
        index.total_size = metadata["total_size"];
    }
    return index;
}

void check_shards_present(const std::filesystem::path& folder, const Index& index)
{
    std::vector<std::string> missing;
    for (const std::string& shard : index.shards) {
        std::error_code error;
        if (!std::filesystem::is_regular_file(folder / shard, error)) {
            missing.push_back(shard);
        }
    }
    if (!missing.empty()) {
        fail(ErrorCode::FileNotFound,
            concat(missing.size(), " of ", index.shards.size(), " shards are missing"),
            {{"folder", folder.string()}, {"missing", join(missing, ", ")}},
            "The download is incomplete; fetch the missing files.");
    }
}

using Shards = std::map<std::string, std::shared_ptr<const SafetensorsReader>>;

/// Every tensor of the index must be in its shard and in no other one.
void check_agreement(const Index& index, const Shards& shards)
{
    std::map<std::string_view, std::vector<std::string>> stored_in;
    for (const auto& [file, shard] : shards) {
        for (const TensorEntry& entry : shard->entries()) {
            stored_in[entry.name].push_back(file);
        }
    }
    std::vector<std::string> findings;
    for (const auto& [name, shard] : index.weight_map) {
        const auto found = stored_in.find(name);
        if (found == stored_in.end()) {
            findings.push_back(concat(printable(name), ": listed in ", shard, ", stored in none"));
        } else if (found->second.size() > 1) {
            findings.push_back(
                concat(printable(name), ": stored in ", join(found->second, " and ")));
        } else if (found->second.front() != shard) {
            findings.push_back(concat(
                printable(name), ": listed in ", shard, ", stored in ", found->second.front()));
        }
    }
    if (!findings.empty()) {
        fail(ErrorCode::FileCorrupt, "index and shards disagree",
            {{"file", index.file}, {"findings", some_of(findings)}},
            "The files are of different downloads or versions; fetch the model again.");
    }
}

std::shared_ptr<const SafetensorsReader> open_shard(
    const std::filesystem::path& folder, const std::string& name)
{
    require_inside(folder, folder / name);
    return std::make_shared<SafetensorsReader>(map_file(folder / name));
}

/// Files and folders in `folder`, sorted.
std::vector<std::string> names_in(const std::filesystem::path& folder)
{
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
        names.push_back(it->path().filename().string());
    }
    if (error) {
        fail(ErrorCode::FileNotFound, "the model's folder cannot be listed",
            {{"folder", folder.string()}, {"found", error.message()}},
            "Name a folder that you may read.");
    }
    std::sort(names.begin(), names.end());
    return names;
}

void warn_of_unused_files(const std::filesystem::path& folder, HfWeights& weights)
{
    std::set<std::string> used;
    for (const auto& file : weights.files) {
        used.insert(file.first);
    }
    std::vector<std::string> unused;
    for (const std::string& name : names_in(folder)) {
        if (name.ends_with(".safetensors") && !used.contains(name)) {
            unused.push_back(name);
        }
    }
    if (!unused.empty()) {
        weights.warnings.push_back(
            concat("files that the model does not name are ignored: ", some_of(unused)));
    }
}

template <class ShardOf>
std::string sample_of(const std::vector<TensorEntry>& entries, ShardOf shard_of)
{
    constexpr std::size_t n_tensors = 64, n_bytes = 256;
    const std::size_t step = std::max<std::size_t>(1, entries.size() / n_tensors);
    Sha256 hash;
    for (std::size_t i = 0; i < entries.size(); i += step) {
        const auto size = static_cast<std::size_t>(entries[i].bytes);
        std::vector<std::byte> middle(std::min(n_bytes, size));
        shard_of(entries[i].name).read(entries[i].name, (size - middle.size()) / 2, middle);
        hash.update(middle);
    }
    return hash.finish();
}

HfWeights open_indexed(const std::filesystem::path& folder)
{
    require_inside(folder, folder / kIndexName);
    const Index index = read_index(folder / kIndexName);
    check_shards_present(folder, index);
    HfWeights weights;
    Shards shards;
    for (const std::string& name : index.shards) {
        shards[name] = open_shard(folder, name);
        weights.files.emplace_back(
            name, static_cast<int64_t>(std::filesystem::file_size(folder / name)));
    }
    check_agreement(index, shards);

    std::set<std::string_view> listed;
    for (const auto& item : index.weight_map) {
        listed.insert(item.first);
    }
    const auto set = std::make_shared<ShardSet>();
    int64_t total = 0;
    std::vector<std::string> unlisted;
    for (const auto& [name, shard] : shards) {
        set->keep(shard);
        for (const TensorEntry& entry : shard->entries()) {
            if (!listed.contains(entry.name)) {
                unlisted.push_back(entry.name);
                continue;
            }
            total += entry.bytes;
            set->add(shard, entry);
        }
    }
    if (!unlisted.empty()) {
        weights.warnings.push_back(
            concat("tensors that the index does not list are ignored: ", some_of(unlisted)));
    }
    // Any kind of number: read as int64_t, 2^63 and above would wrap.
    if (!index.total_size.is_null() && index.total_size != Json(total)) {
        weights.warnings.push_back(concat("total_size of the index is ", index.total_size.dump(),
            ", the tensors have ", total, " bytes"));
    }
    weights.content_sample = sample_of(set->entries(),
        [&](const std::string& name) -> const SafetensorsReader& { return set->shard_of(name); });
    weights.tensors = set;
    return weights;
}

[[noreturn]] void fail_without_weights(const std::filesystem::path& folder)
{
    std::vector<std::string> pickles, others;
    for (const std::string& name : names_in(folder)) {
        const std::string ending = lower(std::filesystem::path(name).extension().string());
        if (ending == ".bin" || ending == ".pt" || ending == ".pth" || ending == ".ckpt") {
            pickles.push_back(name);
        } else if (ending == ".safetensors" || ending == ".gguf") {
            others.push_back(name);
        }
    }
    if (!pickles.empty() && others.empty()) {
        fail(ErrorCode::FileNotFound, "the folder holds pickled weights only, which are never read",
            {{"folder", folder.string()}, {"found", some_of(pickles)},
                {"allowed", "safetensors or GGUF"}},
            "Pickles can run code. Take a safetensors revision of the model, or convert it in a "
            "sandbox with transformers (save_pretrained).");
    }
    fail(ErrorCode::FileNotFound, "the folder holds no weights under a known name",
        {{"folder", folder.string()}, {"looked for", concat(kSingleName, ", ", kIndexName)},
            {"found", others.empty() ? "none" : some_of(others)}},
        "Shards need their index file; a .gguf file is named itself, not its folder.");
}

} // namespace

HfWeights open_hf_weights(const std::filesystem::path& folder)
{
    HfWeights weights;
    // exists() would follow a dangling link of a broken Hub cache and hide it.
    if (std::filesystem::symlink_status(folder / kIndexName).type()
        != std::filesystem::file_type::not_found) {
        weights = open_indexed(folder);
    } else if (std::filesystem::symlink_status(folder / kSingleName).type()
        != std::filesystem::file_type::not_found) {
        const auto single = open_shard(folder, kSingleName);
        weights.content_sample = sample_of(single->entries(),
            [&](const std::string&) -> const SafetensorsReader& { return *single; });
        weights.tensors = single;
        weights.files.emplace_back(
            kSingleName, static_cast<int64_t>(std::filesystem::file_size(folder / kSingleName)));
    } else {
        fail_without_weights(folder);
    }
    warn_of_unused_files(folder, weights);
    return weights;
}

} // namespace bitsmith::source
