// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/gguf_reader.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>

namespace bitsmith::tensor {
namespace {

constexpr std::size_t kMaxKeyBytes = 65535;
constexpr std::size_t kMaxNameBytes = 63;
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kDefaultAlignment = 32;
// Shortest possible entries: an empty-valued key, a one-letter tensor of one dimension.
constexpr std::size_t kMinKvBytes = 8 + 1 + 4 + 1;
constexpr std::size_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

/// Reads the header front to back; every read is checked against the bytes left.
class Cursor
{
public:
    explicit Cursor(const ByteSource& source)
        : source_(source)
        , bytes_(source.bytes())
    { }

    std::size_t position() const { return position_; }
    std::size_t left() const { return bytes_.size() - position_; }

    std::span<const std::byte> take(uint64_t count, std::string_view field)
    {
        if (count > left()) {
            corrupt("GGUF file ends too early", field, concat(left(), " bytes left"),
                concat(count, " bytes"));
        }
        const auto result = bytes_.subspan(position_, static_cast<std::size_t>(count));
        position_ += static_cast<std::size_t>(count);
        return result;
    }

    template <class T>
    T number(std::string_view field)
    {
        T value;
        std::memcpy(&value, take(sizeof value, field).data(), sizeof value);
        return value;
    }

    std::string_view string(std::string_view field)
    {
        const auto length = number<uint64_t>(field);
        const auto bytes = take(length, field);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    [[noreturn]] void corrupt(std::string message, std::string_view field, std::string found,
        std::string allowed, std::string hint = {}) const
    {
        fail(ErrorCode::FileCorrupt, std::move(message),
            {{"file", source_.name()}, {"field", std::string(field)}, {"found", std::move(found)},
                {"allowed", std::move(allowed)}},
            std::move(hint));
    }

private:
    const ByteSource& source_;
    std::span<const std::byte> bytes_;
    std::size_t position_ = 0;
};

bool is_printable(std::string_view text)
{
    return std::all_of(text.begin(), text.end(),
        [](char c) { return c > ' ' && static_cast<unsigned char>(c) < 127; });
}

/// What a file that does not begin with "GGUF" is, as far as its first bytes say.
std::string describe_start(std::span<const std::byte> bytes)
{
    const std::string_view text(
        reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(bytes.size(), 64));
    if (text.starts_with("version https://git-lfs")) {
        return "a Git LFS pointer, not the file it stands for";
    }
    if (text.starts_with("<!") || text.starts_with("<html") || text.starts_with("<HTML")) {
        return "an HTML page";
    }
    if (text.starts_with("PK")) {
        return "a zip archive";
    }
    if (text.starts_with("lmgg") || text.starts_with("fmgg") || text.starts_with("tjgg")) {
        return "a ggml file from before GGUF";
    }
    if (text.size() > 8 && text[8] == '{') {
        return "a safetensors file";
    }
    std::string shown;
    for (const char c : text.substr(0, 4)) {
        shown += is_printable({&c, 1}) ? c : '?';
    }
    return "\"" + shown + "\"";
}

void read_magic(Cursor& cursor, const ByteSource& source)
{
    if (cursor.left() < 4 || std::memcmp(source.bytes().data(), "GGUF", 4) != 0) {
        cursor.corrupt("not a GGUF file", "magic", describe_start(source.bytes()), "\"GGUF\"",
            "Name a GGUF file; download it again if it should be one.");
    }
    cursor.take(4, "magic");
    const auto version = cursor.number<uint32_t>("version");
    if (version == 2 || version == 3) {
        return;
    }
    if (version == 1) {
        cursor.corrupt("GGUF version 1 is not read", "version", "1 (32-bit lengths, 2023)",
            "2 or 3", "Convert the model again with a current converter.");
    }
    if ((version & 0xFFFFU) == 0 && version != 0) {
        cursor.corrupt("big-endian GGUF files are not read", "version",
            concat(version, " (", version >> 24, " with its bytes swapped)"), "2 or 3",
            "Take the little-endian file of the same model.");
    }
    cursor.corrupt("GGUF version is not known", "version", concat(version), "2 or 3",
        "Update Bitsmith, or take a version 3 file.");
}

uint64_t read_count(Cursor& cursor, std::string_view field, std::size_t min_entry_bytes)
{
    const auto count = cursor.number<uint64_t>(field);
    if (count > cursor.left() / min_entry_bytes) {
        cursor.corrupt("GGUF file is too short for the number of entries it states", field,
            concat(count), concat("at most ", cursor.left() / min_entry_bytes));
    }
    return count;
}

GgufValueType read_value_type(Cursor& cursor, std::string_view key)
{
    const auto number = cursor.number<uint32_t>(key);
    if (number > static_cast<uint32_t>(GgufValueType::F64)) {
        cursor.corrupt("GGUF value type is not known", key, concat(number), "0 to 12");
    }
    return static_cast<GgufValueType>(number);
}

void check_bools(const Cursor& cursor, std::string_view key, std::span<const std::byte> bytes)
{
    for (const std::byte value : bytes) {
        if (std::to_integer<unsigned>(value) > 1) {
            cursor.corrupt("GGUF bool is neither 0 nor 1", key,
                concat(std::to_integer<unsigned>(value)), "0 or 1");
        }
    }
}

GgufArray read_array(Cursor& cursor, const ByteSource& source, std::string_view key)
{
    GgufArray array;
    array.element = read_value_type(cursor, key);
    if (array.element == GgufValueType::Array) {
        cursor.corrupt("GGUF arrays of arrays are not read", key, "array", "a plain element type");
    }
    const auto fixed = static_cast<std::size_t>(gguf_value_bytes(array.element));
    const uint64_t count = read_count(cursor, key, fixed > 0 ? fixed : sizeof(uint64_t));
    array.count = static_cast<int64_t>(count);
    const std::size_t begin = cursor.position();
    if (fixed > 0) {
        cursor.take(count * fixed, key);
    } else {
        for (uint64_t i = 0; i < count; ++i) {
            cursor.string(key);
        }
    }
    array.bytes = source.bytes().subspan(begin, cursor.position() - begin);
    if (array.element == GgufValueType::Bool) {
        check_bools(cursor, key, array.bytes);
    }
    return array;
}

GgufValue read_value(Cursor& cursor, const ByteSource& source, std::string_view key)
{
    const GgufValueType type = read_value_type(cursor, key);
    if (type == GgufValueType::Array) {
        return read_array(cursor, source, key);
    }
    if (type == GgufValueType::String) {
        return cursor.string(key);
    }
    const auto bytes = cursor.take(static_cast<uint64_t>(gguf_value_bytes(type)), key);
    if (type == GgufValueType::Bool) {
        check_bools(cursor, key, bytes);
    }
    return decode_gguf_value(type, bytes);
}

void read_metadata(Cursor& cursor, const ByteSource& source, uint64_t count, GgufMetadata& metadata)
{
    for (uint64_t i = 0; i < count; ++i) {
        const std::string position = concat("key ", i + 1, " of ", count);
        const std::string_view key = cursor.string(position);
        if (key.empty() || key.size() > kMaxKeyBytes || !is_printable(key)) {
            cursor.corrupt("GGUF key is not a name", position, concat(key.size(), " bytes"),
                "1 to 65535 printable ASCII characters");
        }
        if (!metadata.insert(std::string(key), read_value(cursor, source, key))) {
            cursor.corrupt("GGUF key is stored twice", key, position, "each key once");
        }
    }
}

uint64_t alignment_of(const Cursor& cursor, const GgufMetadata& metadata)
{
    const auto stored = metadata.integer("general.alignment");
    if (!stored) {
        return kDefaultAlignment;
    }
    const bool sane = *stored > 0 && *stored <= std::numeric_limits<uint32_t>::max()
        && std::has_single_bit(static_cast<uint64_t>(*stored));
    if (!sane) {
        cursor.corrupt("GGUF alignment is not a power of two", "general.alignment", concat(*stored),
            "a power of two below 2^32");
    }
    return static_cast<uint64_t>(*stored);
}

/// product times factor; throws instead of overflowing.
uint64_t times(const Cursor& cursor, std::string_view field, uint64_t product, uint64_t factor)
{
    const auto limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (factor != 0 && product > limit / factor) {
        cursor.corrupt("GGUF tensor size overflows", field, concat(product, " x ", factor),
            "less than 2^63 bytes");
    }
    return product * factor;
}

void read_shape(Cursor& cursor, const std::string& field, GgufTensor& tensor)
{
    const auto dims = cursor.number<uint32_t>(field + ".n_dims");
    if (dims == 0 || dims > kMaxDims) {
        cursor.corrupt("GGUF tensor has an impossible number of dimensions", field + ".n_dims",
            concat(dims), "1 to 4");
    }
    uint64_t elements = 1;
    for (uint32_t i = 0; i < dims; ++i) {
        const auto extent = cursor.number<uint64_t>(field + ".ne");
        if (extent == 0) {
            cursor.corrupt("GGUF tensor has an empty dimension", field + ".ne", "0", "1 or more");
        }
        elements = times(cursor, field + ".ne", elements, extent);
        tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(extent));
    }
}

void read_type(Cursor& cursor, const std::string& field, GgufTensor& tensor)
{
    const auto number = cursor.number<uint32_t>(field + ".type");
    tensor.type = gguf_type(number);
    if (tensor.type == nullptr) {
        cursor.corrupt("GGUF tensor type is not known", field + ".type", concat(number),
            "a type of formats.md 6.3", "Forks of llama.cpp have types of their own.");
    }
    const int64_t row = tensor.shape.back();
    if (row % tensor.type->block != 0) {
        cursor.corrupt("GGUF tensor's rows do not hold whole blocks", field + ".ne", concat(row),
            concat("a multiple of ", tensor.type->block, " for ", tensor.type->name));
    }
    uint64_t bytes = times(cursor, field + ".ne", static_cast<uint64_t>(row / tensor.type->block),
        static_cast<uint64_t>(tensor.type->bytes));
    for (std::size_t i = 0; i + 1 < tensor.shape.size(); ++i) {
        bytes = times(cursor, field + ".ne", bytes, static_cast<uint64_t>(tensor.shape[i]));
    }
    tensor.bytes = static_cast<std::size_t>(bytes);
}

/// `begin` is the stored offset until the data section's start is known.
std::vector<GgufTensor> read_tensors(Cursor& cursor, uint64_t count, uint64_t alignment)
{
    std::vector<GgufTensor> tensors;
    std::set<std::string, std::less<>> names;
    for (uint64_t i = 0; i < count; ++i) {
        const std::string position = concat("tensor ", i + 1, " of ", count);
        const std::string_view name = cursor.string(position);
        if (name.empty() || name.size() > kMaxNameBytes || !is_printable(name)) {
            cursor.corrupt("GGUF tensor name is not a name", position,
                concat(name.size(), " bytes"), "1 to 63 printable ASCII characters");
        }
        GgufTensor tensor;
        tensor.name = name;
        if (!names.emplace(name).second) {
            cursor.corrupt("GGUF tensor name is used twice", name, position, "each name once");
        }
        read_shape(cursor, tensor.name, tensor);
        read_type(cursor, tensor.name, tensor);
        const auto offset = cursor.number<uint64_t>(tensor.name + ".offset");
        if (offset % alignment != 0) {
            cursor.corrupt("GGUF tensor is not aligned", tensor.name + ".offset", concat(offset),
                concat("a multiple of ", alignment));
        }
        tensor.begin = static_cast<std::size_t>(offset);
        tensors.push_back(std::move(tensor));
    }
    return tensors;
}

/// Makes offsets absolute after checking that every tensor lies in the file.
void place_tensors(const Cursor& cursor, const ByteSource& source, uint64_t alignment,
    std::vector<GgufTensor>& tensors)
{
    const uint64_t size = source.bytes().size();
    const uint64_t header = cursor.position();
    const uint64_t padding = (alignment - header % alignment) % alignment;
    const uint64_t room = padding <= size - header ? size - header - padding : 0;
    for (GgufTensor& tensor : tensors) {
        if (tensor.begin > room || tensor.bytes > room - tensor.begin) {
            cursor.corrupt("GGUF file is truncated: a tensor lies beyond its end",
                tensor.name + ".offset",
                concat("offset ", tensor.begin, ", ", tensor.bytes, " bytes"),
                concat("within the ", room, " bytes of data"), "Download the file again.");
        }
        tensor.begin += static_cast<std::size_t>(header + padding);
    }
}

void check_overlaps(const Cursor& cursor, const std::vector<GgufTensor>& tensors)
{
    std::vector<const GgufTensor*> order;
    for (const GgufTensor& tensor : tensors) {
        order.push_back(&tensor);
    }
    std::sort(order.begin(), order.end(),
        [](const GgufTensor* a, const GgufTensor* b) { return a->begin < b->begin; });
    for (std::size_t i = 1; i < order.size(); ++i) {
        if (order[i - 1]->begin + order[i - 1]->bytes > order[i]->begin) {
            cursor.corrupt("GGUF tensors overlap", order[i]->name + ".offset",
                concat("begins inside ", order[i - 1]->name), "tensors apart from each other");
        }
    }
}

} // namespace

GgufReader::GgufReader(std::shared_ptr<const ByteSource> bytes)
    : bytes_(std::move(bytes))
    , metadata_(bytes_->name())
{
    Cursor cursor(*bytes_);
    read_magic(cursor, *bytes_);
    const uint64_t n_tensors = read_count(cursor, "n_tensors", kMinTensorBytes);
    const uint64_t n_kv = read_count(cursor, "n_kv", kMinKvBytes);
    read_metadata(cursor, *bytes_, n_kv, metadata_);
    const uint64_t alignment = alignment_of(cursor, metadata_);
    tensors_ = read_tensors(cursor, n_tensors, alignment);
    place_tensors(cursor, *bytes_, alignment, tensors_);
    check_overlaps(cursor, tensors_);
}

void GgufReader::read(const GgufTensor& tensor, std::size_t offset, std::span<std::byte> to) const
{
    BITSMITH_ASSERT(offset + to.size() <= tensor.bytes);
    bytes_->read(tensor.begin + offset, to);
}

std::vector<std::byte> GgufReader::data(const GgufTensor& tensor) const
{
    std::vector<std::byte> bytes(tensor.bytes);
    read(tensor, 0, bytes);
    return bytes;
}

} // namespace bitsmith::tensor
