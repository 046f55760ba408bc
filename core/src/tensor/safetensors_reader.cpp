// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/safetensors_reader.h"

#include "base/json_io.h"
#include "base/text.h"
#include "tensor/dtype.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

namespace bitsmith::tensor {

namespace {

constexpr uint64_t kMaxHeader = 100'000'000; // formats.md 1.1
constexpr std::size_t kPrefix = 8;

/// Everything that a check needs to name its finding.
struct Place
{
    const std::string& file;
    std::string tensor;
};

[[noreturn]] void refuse(const Place& place, std::string what, Error::Context more = {},
    std::string hint = "The file is damaged or was not written by a sound program; fetch it again.")
{
    Error::Context context = {{"file", place.file}};
    if (!place.tensor.empty()) {
        context.emplace_back("tensor", printable(place.tensor));
    }
    context.insert(context.end(), more.begin(), more.end());
    fail(ErrorCode::FileCorrupt, std::move(what), std::move(context), std::move(hint));
}

/// What the file is when it is not safetensors; empty when it looks like nothing in particular.
std::string_view recognised_as(std::span<const std::byte> bytes)
{
    const std::string head(
        reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(bytes.size(), 256));
    const std::string start =
        lower(head.substr(std::min(head.find_first_not_of(" \t\r\n"), head.size())));
    if (head.starts_with("version https://git-lfs")) {
        return "a Git LFS pointer: the weights themselves were never downloaded (run 'git lfs "
               "pull')";
    }
    if (start.starts_with("<!doctype") || start.starts_with("<html")
        || start.starts_with("<?xml")) {
        return "a web page, most likely a login or error page saved under this name";
    }
    if (head.starts_with("PK\x03\x04")) {
        return "a zip archive, most likely a PyTorch pickle; convert it to safetensors first";
    }
    if (head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) {
        return "a Python pickle, which is never read here; convert it to safetensors first";
    }
    if (head.starts_with("GGUF")) {
        return "a GGUF file; give it the ending .gguf";
    }
    if (head.starts_with("\x1f\x8b")) {
        return "a gzip archive; unpack it first";
    }
    return {};
}

uint64_t little_endian_u64(std::span<const std::byte> bytes)
{
    uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
    }
    return value;
}

/// Text of the header, after the checks of its frame.
std::string_view header_text(const ByteSource& source)
{
    const std::span<const std::byte> bytes = source.bytes();
    const Place place{source.name(), {}};
    const std::string_view other = recognised_as(bytes);
    const uint64_t length = bytes.size() >= kPrefix ? little_endian_u64(bytes) : 0;
    const bool framed = bytes.size() > kPrefix && length <= bytes.size() - kPrefix
        && length <= kMaxHeader && length > 0 && bytes[kPrefix] == std::byte{'{'};
    if (!framed && !other.empty()) {
        fail(ErrorCode::FileCorrupt, concat("not a safetensors file but ", other),
            {{"file", place.file}});
    }
    if (bytes.size() < kPrefix) {
        refuse(place, concat("truncated: expected at least 8 bytes, found ", bytes.size()));
    }
    if (length > kMaxHeader) {
        refuse(place, "header length is over the limit",
            {{"found", std::to_string(length)}, {"allowed", std::to_string(kMaxHeader)}});
    }
    if (length > bytes.size() - kPrefix) {
        refuse(place,
            concat(
                "truncated: expected at least ", kPrefix + length, " bytes, found ", bytes.size()));
    }
    if (!framed) {
        refuse(place, "the header does not begin with '{'");
    }
    return {
        reinterpret_cast<const char*>(bytes.data()) + kPrefix, static_cast<std::size_t>(length)};
}

/// A JSON number that is an integer in [0, 2^63).
std::optional<int64_t> size_from(const Json& value)
{
    if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) {
        return std::nullopt;
    }
    return value.get<int64_t>();
}

const Json& member(const Json& object, const char* name, const Place& place)
{
    const auto found = object.find(name);
    if (found == object.end()) {
        refuse(place, concat("the header's entry lacks '", name, "'"));
    }
    return *found;
}

std::vector<int64_t> shape_from(const Json& value, const Place& place)
{
    constexpr std::size_t most = 16;
    if (!value.is_array() || value.size() > most) {
        refuse(place, concat("the shape is not a list of at most ", most, " sizes"));
    }
    std::vector<int64_t> shape;
    for (const Json& size : value) {
        const std::optional<int64_t> parsed = size_from(size);
        if (!parsed) {
            refuse(place, "a size of the shape is not a whole number from 0 to 2^63",
                {{"found", printable(size.dump())}});
        }
        shape.push_back(*parsed);
    }
    return shape;
}

bool has_control_characters(std::string_view text)
{
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F;
    });
}

int64_t bytes_of(const TensorEntry& entry, c10::ScalarType type, const Place& place)
{
    // Strides of an empty tensor are products of its other sides.
    auto total = static_cast<int64_t>(c10::elementSize(type));
    bool is_empty = false;
    for (const int64_t size : entry.shape) {
        is_empty = is_empty || size == 0;
        if (__builtin_mul_overflow(total, std::max<int64_t>(size, 1), &total)) {
            refuse(place, "shape times element size overflows",
                {{"shape", shape_text(entry.shape)}, {"dtype", entry.dtype}});
        }
    }
    return is_empty ? 0 : total;
}

struct Parsed
{
    TensorEntry entry;
    int64_t begin = 0;
};

Parsed parse_entry(const std::string& name, const Json& value, const Place& place)
{
    if (name.empty() || has_control_characters(name)) {
        refuse(place, "a tensor name is empty or holds control characters");
    }
    if (!value.is_object()) {
        refuse(place, "the header's entry is not an object");
    }
    Parsed parsed;
    parsed.entry.name = name;
    const Json& dtype = member(value, "dtype", place);
    parsed.entry.dtype = dtype.is_string() ? dtype.get<std::string>() : dtype.dump();
    const auto type = scalar_type_from(parsed.entry.dtype);
    if (!type) {
        refuse(place, "unsupported element type",
            {{"found", printable(parsed.entry.dtype)}, {"allowed", join(safetensors_words(), " ")}},
            "Convert the tensor to one of the allowed types.");
    }
    parsed.entry.shape = shape_from(member(value, "shape", place), place);
    const Json& offsets = member(value, "data_offsets", place);
    const bool pair = offsets.is_array() && offsets.size() == 2;
    const auto begin = pair ? size_from(offsets[0]) : std::nullopt;
    const auto end = pair ? size_from(offsets[1]) : std::nullopt;
    if (!begin || !end || *begin > *end) {
        refuse(place, "data_offsets is not [begin, end] with begin <= end",
            {{"found", printable(offsets.dump())}});
    }
    parsed.begin = *begin;
    parsed.entry.bytes = *end - *begin;
    const int64_t needed = bytes_of(parsed.entry, *type, place);
    if (needed != parsed.entry.bytes) {
        refuse(place, "data length does not fit shape and type",
            {{"shape", shape_text(parsed.entry.shape)}, {"dtype", parsed.entry.dtype},
                {"expected", std::to_string(needed)},
                {"found", std::to_string(parsed.entry.bytes)}});
    }
    return parsed;
}

std::map<std::string, std::string> parse_metadata(const Json& value, const Place& place)
{
    std::map<std::string, std::string> metadata;
    if (!value.is_object()) {
        refuse(place, "__metadata__ is not an object");
    }
    for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) {
            refuse(place, "a value of __metadata__ is not text", {{"key", printable(key)}});
        }
        metadata.emplace(key, text.get<std::string>());
    }
    return metadata;
}

/// The ranges must tile the data: no hole, no overlap, nothing behind the last one.
void check_tiling(const std::vector<Parsed>& sorted, int64_t data_bytes, const std::string& file)
{
    int64_t at = 0;
    for (const Parsed& parsed : sorted) {
        const Place place{file, parsed.entry.name};
        const int64_t end =
            parsed.begin + parsed.entry.bytes; // both are below 2^63, their sum is `end`
        if (end > data_bytes) {
            refuse(
                place, concat("truncated: expected ", end, " bytes of data, found ", data_bytes));
        }
        if (parsed.begin != at) {
            refuse(place,
                parsed.begin < at ? "data overlaps that of another tensor" : "hole before the data",
                {{"begin", std::to_string(parsed.begin)}, {"expected", std::to_string(at)}});
        }
        at = end;
    }
    if (at != data_bytes) {
        refuse(Place{file, {}}, "bytes behind the last tensor",
            {{"expected", std::to_string(at)}, {"found", std::to_string(data_bytes)}});
    }
}

} // namespace

SafetensorsReader::SafetensorsReader(std::shared_ptr<const ByteSource> bytes)
    : bytes_(std::move(bytes))
{
    const std::string_view text = header_text(*bytes_);
    JsonLimits limits;
    limits.bytes = static_cast<int64_t>(kMaxHeader);
    limits.depth = 3;
    const Json header = parse_json(text, bytes_->name(), limits);
    std::vector<Parsed> parsed;
    for (const auto& [name, value] : header.items()) {
        const Place place{bytes_->name(), name};
        if (name == "__metadata__") {
            metadata_ = parse_metadata(value, place);
        } else {
            parsed.push_back(parse_entry(name, value, place));
        }
    }
    // Entries without bytes share their begin with the next one; the end puts them first.
    std::stable_sort(parsed.begin(), parsed.end(), [](const Parsed& a, const Parsed& b) {
        return std::pair(a.begin, a.entry.bytes) < std::pair(b.begin, b.entry.bytes);
    });
    const std::size_t data_begin = kPrefix + text.size();
    check_tiling(parsed, static_cast<int64_t>(bytes_->bytes().size() - data_begin), bytes_->name());
    for (Parsed& p : parsed) {
        index_.emplace(p.entry.name, entries_.size());
        begins_.push_back(data_begin + static_cast<std::size_t>(p.begin));
        entries_.push_back(std::move(p.entry));
    }
}

const TensorEntry* SafetensorsReader::find(std::string_view name) const
{
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second];
}

std::size_t SafetensorsReader::index_of(std::string_view name) const
{
    const auto found = index_.find(name);
    if (found == index_.end()) {
        fail(ErrorCode::MissingTensor, "the file has no such tensor",
            {{"file", bytes_->name()}, {"tensor", std::string(name)}});
    }
    return found->second;
}

void SafetensorsReader::read(
    std::string_view name, std::size_t offset, std::span<std::byte> to) const
{
    const std::size_t index = index_of(name);
    BITSMITH_ASSERT(offset + to.size() <= static_cast<std::size_t>(entries_[index].bytes));
    bytes_->read(begins_[index] + offset, to);
}

at::Tensor SafetensorsReader::load(std::string_view name) const
{
    const std::size_t index = index_of(name);
    const TensorEntry& entry = entries_[index];
    at::Tensor tensor = at::empty(entry.shape, *scalar_type_from(entry.dtype));
    bytes_->read(
        begins_[index], {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
    return tensor;
}

at::Tensor SafetensorsReader::load_at(std::string_view name, int64_t index) const
{
    const TensorEntry& entry = entries_[index_of(name)];
    BITSMITH_ASSERT(!entry.shape.empty() && index >= 0 && index < entry.shape.front());
    const std::vector<int64_t> shape(entry.shape.begin() + 1, entry.shape.end());
    at::Tensor tensor = at::empty(shape, *scalar_type_from(entry.dtype));
    read(name, static_cast<std::size_t>(index) * tensor.nbytes(),
        {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
    return tensor;
}

} // namespace bitsmith::tensor
