// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "calib/imatrix.h"
#include "tensor/gguf_reader.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <cstring>
#include <optional>

namespace bitsmith::calib {

namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr uint32_t kMaxNameBytes = 63; // as in GGUF
constexpr int64_t kMaxCount =
    0x7FFFFFFF; // of calls, chunks and their tokens: int32 in the old form
constexpr std::size_t kMinEntryBytes = 4 + 1 + 4 + 4 + 4; // one letter, one value

[[noreturn]] void corrupt(std::string message, const std::string& file, std::string field,
    std::string found, std::string allowed)
{
    fail(ErrorCode::FileCorrupt, std::move(message),
        {{"file", file}, {"field", std::move(field)}, {"found", std::move(found)},
            {"allowed", std::move(allowed)}},
        "Name a file that llama-imatrix wrote, or download it again.");
}

/// Squares and numbers of inputs are finite and not negative.
void check_values(const at::Tensor& values, const std::string& file, const std::string& field)
{
    const at::Tensor bad = at::isfinite(values).logical_and(values >= 0).logical_not();
    if (bad.any().item<bool>()) {
        const auto first = bad.to(at::kByte).argmax().item<int64_t>();
        corrupt("an importance matrix holds a value that is no sum of squares", file,
            concat(field, "[", first, "]"), concat(values[first].item<float>()),
            "finite numbers of at least 0");
    }
}

at::Tensor read_floats(const ByteSource& bytes, std::size_t offset, std::size_t count)
{
    at::Tensor values = at::empty({static_cast<int64_t>(count)}, at::kFloat);
    bytes.read(offset, {static_cast<std::byte*>(values.mutable_data_ptr()), count * sizeof(float)});
    return values;
}

// ---- GGUF ----

at::Tensor read_tensor(const tensor::GgufReader& reader, const tensor::GgufTensor& tensor)
{
    if (tensor.type->type != tensor::GgufType::F32) {
        corrupt("an importance matrix holds a tensor of another type", reader.name(), tensor.name,
            std::string(tensor.type->name), "F32");
    }
    at::Tensor values = at::empty({static_cast<int64_t>(tensor.bytes / sizeof(float))}, at::kFloat);
    reader.read(tensor, 0, {static_cast<std::byte*>(values.mutable_data_ptr()), tensor.bytes});
    check_values(values, reader.name(), tensor.name);
    return values;
}

/// 0 when the file does not say.
int64_t read_count(const tensor::GgufReader& reader, const char* key)
{
    const int64_t count = reader.metadata().integer(key).value_or(0);
    if (count < 0 || count > kMaxCount) {
        corrupt("an importance matrix states an impossible number", reader.name(), key,
            concat(count), concat("0 to ", kMaxCount));
    }
    return count;
}

/// Every weight has both tensors, and rows of sums for each count.
void check_pairs(const Imatrix& imatrix, const std::string& file)
{
    for (const auto& [name, squares] : imatrix.weights) {
        if (!squares.sums.defined() || !squares.counts.defined()) {
            const std::string_view missing = squares.sums.defined() ? kCounts : kSums;
            corrupt("an importance matrix lacks a tensor", file, concat(name, missing), "nothing",
                "both tensors of every weight");
        }
        if (squares.sums.numel() % squares.counts.numel() != 0) {
            corrupt("the counts of an importance matrix do not divide its sums", file,
                concat(name, kCounts), concat(squares.counts.numel(), " counts"),
                concat("a divisor of ", squares.sums.numel()));
        }
    }
}

Imatrix read_gguf_imatrix(const std::shared_ptr<const ByteSource>& bytes)
{
    const tensor::GgufReader reader(bytes);
    const tensor::GgufMetadata& metadata = reader.metadata();
    const std::string type = metadata.text("general.type").value_or("");
    if (type != "imatrix") {
        corrupt("this GGUF file is no importance matrix", reader.name(), "general.type", type,
            "imatrix");
    }
    Imatrix imatrix;
    if (const auto datasets = metadata.texts("imatrix.datasets")) {
        imatrix.datasets.assign(datasets->begin(), datasets->end());
    }
    imatrix.chunks = read_count(reader, "imatrix.chunk_count");
    imatrix.chunk_tokens = read_count(reader, "imatrix.chunk_size");
    for (const tensor::GgufTensor& tensor : reader.tensors()) {
        const std::string_view name = tensor.name;
        if (name.ends_with(kSums)) {
            const std::string weight(name.substr(0, name.size() - kSums.size()));
            imatrix.weights[weight].sums = read_tensor(reader, tensor);
        } else if (name.ends_with(kCounts)) {
            const std::string weight(name.substr(0, name.size() - kCounts.size()));
            imatrix.weights[weight].counts = read_tensor(reader, tensor);
        }
    }
    check_pairs(imatrix, reader.name());
    return imatrix;
}

// ---- the form without a magic number ----

/// Front to back; every read is checked against the bytes left.
class Cursor
{
public:
    explicit Cursor(const ByteSource& source)
        : source_(source)
    { }

    std::size_t left() const { return source_.bytes().size() - position_; }

    /// At least `least`, and no more than `most`.
    uint32_t number(const std::string& field, uint32_t least, std::size_t most)
    {
        need(sizeof(int32_t), field);
        int32_t value = 0;
        std::memcpy(&value, source_.bytes().data() + position_, sizeof value);
        position_ += sizeof value;
        if (value < 0 || static_cast<uint32_t>(value) < least
            || static_cast<uint32_t>(value) > most) {
            corrupt("an importance matrix states an impossible number", source_.name(), field,
                concat(value), concat(least, " to ", most));
        }
        return static_cast<uint32_t>(value);
    }

    std::string text(const std::string& field, uint32_t length)
    {
        need(length, field);
        const auto* begin = reinterpret_cast<const char*>(source_.bytes().data() + position_);
        position_ += length;
        return {begin, length};
    }

    at::Tensor floats(const std::string& field, uint32_t count)
    {
        need(count * sizeof(float), field);
        const std::size_t begin = position_;
        position_ += count * sizeof(float);
        return read_floats(source_, begin, count);
    }

private:
    void need(std::size_t count, const std::string& field) const
    {
        if (count > left()) {
            corrupt("an importance matrix ends too early", source_.name(), field,
                concat(left(), " bytes left"), concat(count, " bytes"));
        }
    }

    const ByteSource& source_;
    std::size_t position_ = 0;
};

void read_entry(
    Cursor& cursor, const std::string& file, const std::string& position, Imatrix& imatrix)
{
    const uint32_t length = cursor.number(position + ".length", 1, kMaxNameBytes);
    const std::string name = cursor.text(position + ".name", length);
    const std::string shown = concat(position, " (", printable(name), ")");
    const uint32_t calls = cursor.number(shown + ".calls", 0, kMaxCount);
    const uint32_t count = cursor.number(shown + ".n_values", 1, cursor.left() / sizeof(float));
    at::Tensor values = cursor.floats(shown, count);
    check_values(values, file, shown);
    // Means times calls are sums over as many inputs, as far as anyone can tell.
    InputSquares squares{std::move(values), at::full({1}, static_cast<double>(calls), at::kFloat)};
    if (!imatrix.weights.emplace(name, std::move(squares)).second) {
        corrupt("an importance matrix has a weight twice", file, shown, "again", "each name once");
    }
}

Imatrix read_old_imatrix(const ByteSource& bytes)
{
    const std::string& file = bytes.name();
    Cursor cursor(bytes);
    const uint32_t entries = cursor.number("n_entries", 1, cursor.left() / kMinEntryBytes);
    Imatrix imatrix;
    for (uint32_t i = 0; i < entries; ++i) {
        read_entry(cursor, file, concat("entry ", i + 1, " of ", entries), imatrix);
    }
    if (cursor.left() > 0) {
        imatrix.chunks = cursor.number("chunks", 0, kMaxCount);
        const uint32_t length = cursor.number("dataset.length", 0, cursor.left());
        if (length > 0) {
            imatrix.datasets.push_back(cursor.text("dataset", length));
        }
    }
    if (cursor.left() > 0) {
        corrupt("an importance matrix goes on after its end", file, "dataset",
            concat(cursor.left(), " more bytes"), "the end of the file");
    }
    return imatrix;
}

} // namespace

Imatrix read_imatrix(const std::shared_ptr<const ByteSource>& bytes)
{
    const auto start = bytes->bytes();
    const bool is_gguf = start.size() >= 4 && std::memcmp(start.data(), "GGUF", 4) == 0;
    Imatrix imatrix = is_gguf ? read_gguf_imatrix(bytes) : read_old_imatrix(*bytes);
    if (imatrix.weights.empty()) {
        corrupt("an importance matrix says nothing", bytes->name(), "tensors", "none",
            "one weight or more");
    }
    return imatrix;
}

Imatrix read_imatrix(const std::filesystem::path& file)
{
    return read_imatrix(map_file(file));
}

} // namespace bitsmith::calib
