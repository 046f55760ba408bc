// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_tensors.h"

#include "base/text.h"
#include "quant/gguf_blocks.h"

#include <bitsmith/error.h>

#include <ATen/Functions.h>

#include <charconv>
#include <set>

namespace bitsmith::source {
namespace {

using tensor::GgufType;

/// The element type of a tensor that is stored plainly; nothing for one that must be decoded.
std::optional<c10::ScalarType> plain_type(GgufType type)
{
    switch (type) {
    case GgufType::F32:
        return at::kFloat;
    case GgufType::F16:
        return at::kHalf;
    case GgufType::BF16:
        return at::kBFloat16;
    default:
        return std::nullopt;
    }
}

/// Rows h*d + 2j + t -> h*d + t*d/2 + j, for `heads` heads of d rows (formats.md 6.6 item 1).
at::Tensor undo_rotary_permutation(const at::Tensor& rows, int64_t heads)
{
    std::vector<int64_t> pairs{heads, rows.size(0) / heads / 2, 2};
    const std::vector<int64_t> shape = rows.sizes().vec();
    pairs.insert(pairs.end(), shape.begin() + 1, shape.end());
    return rows.view(pairs).transpose(1, 2).reshape(shape);
}

/// N of every "blk.N.", in order.
std::set<int64_t> block_numbers(const GgufParts& parts)
{
    constexpr std::string_view kPrefix = "blk.";
    std::set<int64_t> blocks;
    for (const auto& [name, location] : parts.tensors()) {
        if (!name.starts_with(kPrefix)) {
            continue;
        }
        int64_t block = 0;
        const char* end = name.data() + name.size();
        const auto read = std::from_chars(name.data() + kPrefix.size(), end, block);
        if (read.ec == std::errc{} && read.ptr != end && *read.ptr == '.' && block >= 0) {
            blocks.insert(block);
        }
    }
    return blocks;
}

std::string arch_key(const GgufFamily& family, std::string_view key)
{
    return concat(family.arch, ".", key);
}

} // namespace

GgufTensors::GgufTensors(std::shared_ptr<const GgufParts> parts, const GgufFamily& family)
    : parts_(std::move(parts))
    , family_(family)
{
    add_rule(std::string(kGgufEmbedding.gguf), std::string(kGgufEmbedding.hf), GgufRole::Plain);
    for (const int64_t block : block_numbers(*parts_)) {
        for (const GgufRule& rule : family_.block) {
            add_rule(concat("blk.", block, ".", rule.gguf),
                concat("model.layers.", block, ".", rule.hf), rule.role);
        }
    }
    add_rule(std::string(kGgufFinalNorm.gguf), std::string(kGgufFinalNorm.hf), GgufRole::Norm);
    add_rule(std::string(kGgufHead.gguf), std::string(kGgufHead.hf), GgufRole::Plain);
    check_all_used();
}

void GgufTensors::add_rule(const std::string& gguf, const std::string& hf, GgufRole role)
{
    const std::string weight = role == GgufRole::Bare ? "" : ".weight";
    for (const auto& [suffix, hf_suffix] :
        {std::pair<std::string, std::string>(".weight", weight), {".bias", ".bias"}}) {
        const auto found = parts_->tensors().find(gguf + suffix);
        if (found == parts_->tensors().end()) {
            continue;
        }
        const GgufLocation& location = found->second;
        const tensor::GgufTensor& stored = *location.tensor;
        if (!quant::is_gguf_decodable(stored.type->type)) {
            fail(ErrorCode::UnsupportedFormat, "GGUF tensors of this type are not read",
                {{"file", location.part->name()}, {"tensor", stored.name},
                    {"found", std::string(stored.type->name)},
                    {"allowed", quant::decodable_gguf_types()}},
                "Take a file of the same model in one of these types.");
        }
        if (role == GgufRole::Experts) {
            add_experts(hf + hf_suffix, location, suffix == ".weight" ? 3 : 2);
        } else {
            add_entry(hf + hf_suffix, stored.shape, make_item(location, role));
        }
    }
}

GgufTensors::Item GgufTensors::make_item(const GgufLocation& location, GgufRole role) const
{
    Item item;
    item.location = location;
    item.minus_one = role == GgufRole::Norm && family_.one_plus_norms;
    const bool is_rotary = role == GgufRole::Query || role == GgufRole::Key;
    if (!is_rotary || !family_.permuted_rotary) {
        return item;
    }
    const tensor::GgufMetadata& metadata = parts_->metadata();
    const auto heads = metadata.integer(arch_key(family_, "attention.head_count"));
    const auto kv_heads = metadata.integer(arch_key(family_, "attention.head_count_kv"));
    const bool is_key = role == GgufRole::Key;
    item.rotary_heads = (is_key && kv_heads ? kv_heads : heads).value_or(0);
    const int64_t rows = location.tensor->shape.front();
    // Compared by division: a file may state any number of heads.
    const bool divides = item.rotary_heads > 0 && item.rotary_heads <= rows
        && rows % item.rotary_heads == 0 && (rows / item.rotary_heads) % 2 == 0;
    if (!divides) {
        fail(ErrorCode::ShapeMismatch, "GGUF tensor's rows do not divide into pairs per head",
            {{"file", location.part->name()}, {"tensor", location.tensor->name},
                {"found", concat(rows, " rows")},
                {"allowed", concat("an even multiple of ", item.rotary_heads, " heads")}});
    }
    return item;
}

void GgufTensors::add_experts(
    const std::string& hf, const GgufLocation& location, std::size_t dimensions)
{
    const tensor::GgufTensor& stored = *location.tensor;
    const auto experts = parts_->metadata().integer(arch_key(family_, "expert_count"));
    if (stored.shape.size() != dimensions || stored.shape.front() != experts.value_or(0)) {
        fail(ErrorCode::ShapeMismatch, "GGUF tensor does not hold every expert",
            {{"file", location.part->name()}, {"tensor", stored.name},
                {"found",
                    concat(stored.shape.size(), " dimensions, outermost ", stored.shape.front())},
                {"allowed",
                    concat("[", experts.value_or(0), dimensions == 3 ? ", out, in]" : ", out]")}});
    }
    const std::vector<int64_t> shape(stored.shape.begin() + 1, stored.shape.end());
    Item item;
    item.location = location;
    item.slices = stored.shape.front();
    for (item.slice = 0; item.slice < item.slices; ++item.slice) {
        add_entry(with_number(hf, "{e}", item.slice), shape, item);
    }
}

void GgufTensors::add_entry(std::string name, std::vector<int64_t> shape, const Item& item)
{
    const tensor::GgufTensor& stored = *item.location.tensor;
    index_.emplace(name, entries_.size());
    entries_.push_back({std::move(name), std::move(shape), std::string(stored.type->name),
        static_cast<int64_t>(stored.bytes) / item.slices});
    items_.push_back(item);
}

void GgufTensors::check_all_used() const
{
    std::set<const tensor::GgufTensor*> used;
    for (const Item& item : items_) {
        used.insert(item.location.tensor);
    }
    std::vector<std::string> unknown;
    for (const auto& [name, location] : parts_->tensors()) {
        if (used.count(location.tensor) == 0 && !is_gguf_config_tensor(name)) {
            unknown.push_back(name);
        }
    }
    if (unknown.empty()) {
        return;
    }
    const std::size_t count = unknown.size();
    constexpr std::size_t kShown = 8;
    unknown.resize(std::min(count, kShown));
    fail(ErrorCode::UnsupportedModel, "GGUF holds tensors that the architecture does not have",
        {{"file", parts_->metadata().file()}, {"architecture", std::string(family_.arch)},
            {"found", concat(count, " such tensors: ", join(unknown, ", "))}},
        "Leaving them out would change what the model computes.");
}

const tensor::TensorEntry* GgufTensors::find(std::string_view name) const
{
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second];
}

at::Tensor GgufTensors::load(std::string_view name) const
{
    const auto found = index_.find(name);
    if (found == index_.end()) {
        fail(ErrorCode::MissingTensor, "the model has no such tensor",
            {{"file", parts_->metadata().file()}, {"tensor", std::string(name)}});
    }
    const Item& item = items_[found->second];
    const std::vector<int64_t>& shape = entries_[found->second].shape;
    const tensor::GgufTensor& stored = *item.location.tensor;
    const auto bytes = static_cast<std::size_t>(entries_[found->second].bytes);
    const std::size_t offset = static_cast<std::size_t>(item.slice) * bytes;
    const std::optional<c10::ScalarType> plain = plain_type(stored.type->type);
    at::Tensor values =
        plain ? at::empty(shape, *plain) : at::empty({static_cast<int64_t>(bytes)}, at::kByte);
    const std::span<std::byte> raw(static_cast<std::byte*>(values.mutable_data_ptr()), bytes);
    item.location.part->read(stored, offset, raw);
    if (!plain) {
        values = quant::decode_gguf(*stored.type, raw, shape);
    }
    if (item.rotary_heads > 0) {
        values = undo_rotary_permutation(values, item.rotary_heads);
    }
    return item.minus_one ? values.to(at::kFloat) - 1 : values;
}

} // namespace bitsmith::source
