// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/gguf_writer.h"

#include "base/text.h"
#include "tensor/gguf_metadata.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>
#include <bit>

namespace bitsmith::tensor {

namespace {

constexpr uint32_t kVersion = 3;
constexpr std::size_t kMaxNameBytes = 63; // ggml's limit
constexpr std::size_t kMaxParts = 65535; // split.count is a u16

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");

class Bytes
{
public:
    template <class T>
    requires std::is_arithmetic_v<T>
    void number(T value) { raw(std::as_bytes(std::span(&value, 1))); }
    void type(GgufValueType value) { number(static_cast<uint32_t>(value)); }
    void text(std::string_view value)
    {
        number(static_cast<uint64_t>(value.size()));
        raw(std::as_bytes(std::span(value.data(), value.size())));
    }
    void raw(std::span<const std::byte> more)
    {
        bytes_.insert(bytes_.end(), more.begin(), more.end());
    }
    void pad()
    {
        while (static_cast<int64_t>(bytes_.size()) % kGgufAlignment != 0) {
            bytes_.push_back(std::byte{0});
        }
    }
    std::vector<std::byte> take() { return std::move(bytes_); }

private:
    std::vector<std::byte> bytes_;
};

void write_array_head(Bytes& out, GgufValueType element, std::size_t count)
{
    out.type(GgufValueType::Array);
    out.type(element);
    out.number(static_cast<uint64_t>(count));
}

void write_field(Bytes& out, uint16_t value)
{
    out.type(GgufValueType::U16);
    out.number(value);
}
void write_field(Bytes& out, uint32_t value)
{
    out.type(GgufValueType::U32);
    out.number(value);
}
void write_field(Bytes& out, int32_t value)
{
    out.type(GgufValueType::I32);
    out.number(value);
}
void write_field(Bytes& out, float value)
{
    out.type(GgufValueType::F32);
    out.number(value);
}
void write_field(Bytes& out, bool value)
{
    out.type(GgufValueType::Bool);
    out.number(static_cast<uint8_t>(value ? 1 : 0));
}
void write_field(Bytes& out, const std::string& value)
{
    out.type(GgufValueType::String);
    out.text(value);
}
void write_field(Bytes& out, const std::vector<std::string>& values)
{
    write_array_head(out, GgufValueType::String, values.size());
    for (const std::string& value : values) {
        out.text(value);
    }
}
void write_field(Bytes& out, const std::vector<int32_t>& values)
{
    write_array_head(out, GgufValueType::I32, values.size());
    out.raw(std::as_bytes(std::span(values)));
}
void write_field(Bytes& out, const std::vector<float>& values)
{
    write_array_head(out, GgufValueType::F32, values.size());
    out.raw(std::as_bytes(std::span(values)));
}

int64_t padded(int64_t bytes)
{
    return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

void write_info(Bytes& out, const GgufTensorHeader& tensor, int64_t offset)
{
    if (tensor.name.empty() || tensor.name.size() > kMaxNameBytes || tensor.shape.empty()
        || tensor.shape.size() > 4) {
        fail(ErrorCode::Internal, "GGUF cannot name or shape this tensor",
            {{"tensor", tensor.name}});
    }
    out.text(tensor.name);
    out.number(static_cast<uint32_t>(tensor.shape.size()));
    for (auto side = tensor.shape.rbegin(); side != tensor.shape.rend(); ++side) {
        out.number(static_cast<uint64_t>(*side));
    }
    out.number(static_cast<uint32_t>(tensor.type));
    out.number(static_cast<uint64_t>(offset));
}

} // namespace

void GgufFields::set(std::string key, GgufField value)
{
    for (auto& [known, stored] : fields_) {
        if (known == key) {
            stored = std::move(value);
            return;
        }
    }
    fields_.emplace_back(std::move(key), std::move(value));
}

const GgufField* GgufFields::find(std::string_view key) const
{
    for (const auto& [known, value] : fields_) {
        if (known == key) {
            return &value;
        }
    }
    return nullptr;
}

int64_t GgufTensorHeader::bytes() const
{
    const GgufTypeInfo& info = gguf_type(type);
    int64_t count = 1;
    for (const int64_t side : shape) {
        count *= side;
    }
    if (shape.empty() || shape.back() % info.block != 0) {
        fail(ErrorCode::ShapeMismatch, "rows do not hold whole GGUF blocks",
            {{"tensor", name}, {"type", std::string(info.name)},
                {"found", shape.empty() ? "scalar" : std::to_string(shape.back())},
                {"allowed", concat("multiples of ", info.block)}});
    }
    return count / info.block * info.bytes;
}

std::vector<std::byte> gguf_header(
    const GgufFields& fields, const std::vector<GgufTensorHeader>& tensors)
{
    Bytes out;
    out.raw(std::as_bytes(std::span("GGUF", 4)));
    out.number(kVersion);
    out.number(static_cast<uint64_t>(tensors.size()));
    out.number(static_cast<uint64_t>(fields.fields().size()));
    for (const auto& [key, value] : fields.fields()) {
        out.text(key);
        std::visit([&out](const auto& typed) { write_field(out, typed); }, value);
    }
    int64_t offset = 0;
    for (const GgufTensorHeader& tensor : tensors) {
        write_info(out, tensor, offset);
        offset += padded(tensor.bytes());
    }
    out.pad();
    return out.take();
}

GgufWriter::GgufWriter(FileSystem& fs, const std::filesystem::path& file, const GgufFields& fields,
    std::vector<GgufTensorHeader> tensors)
    : tensors_(std::move(tensors))
{
    const std::vector<std::byte> header = gguf_header(fields, tensors_);
    sink_ = fs.create(file);
    sink_->write(header);
}

void GgufWriter::write(std::string_view name, std::span<const std::byte> bytes)
{
    BITSMITH_ASSERT(next_ < tensors_.size() && tensors_[next_].name == name);
    BITSMITH_ASSERT(static_cast<int64_t>(bytes.size()) == tensors_[next_].bytes());
    ++next_;
    sink_->write(bytes);
    const auto size = static_cast<int64_t>(bytes.size());
    constexpr std::array<std::byte, kGgufAlignment> zeros{};
    sink_->write(std::span(zeros).first(static_cast<std::size_t>(padded(size) - size)));
}

void GgufWriter::finish()
{
    BITSMITH_ASSERT(is_complete());
    sink_->finish();
}

std::vector<std::vector<GgufTensorHeader>> split_gguf(
    const std::vector<GgufTensorHeader>& tensors, int64_t max_bytes)
{
    std::vector<std::vector<GgufTensorHeader>> parts(1);
    int64_t size = 0;
    for (const GgufTensorHeader& tensor : tensors) {
        const int64_t bytes = padded(tensor.bytes());
        if (!parts.back().empty() && size + bytes > max_bytes) {
            parts.emplace_back();
            size = 0;
        }
        size += bytes;
        parts.back().push_back(tensor);
    }
    if (parts.size() > kMaxParts) {
        fail(ErrorCode::InvalidSpec, "the model has more parts than a split GGUF can have",
            {{"field", "exports.max_gguf_gb"}, {"found", concat(parts.size(), " parts")},
                {"allowed", concat("at most ", kMaxParts)}},
            "Allow larger parts.");
    }
    return parts;
}

std::string gguf_part_name(std::string_view stem, std::size_t part, std::size_t count)
{
    const auto digits = [](std::size_t number) {
        const std::string text = std::to_string(number);
        return std::string(5 - std::min<std::size_t>(text.size(), 5), '0') + text;
    };
    return count == 1 ? concat(stem, ".gguf")
                      : concat(stem, "-", digits(part + 1), "-of-", digits(count), ".gguf");
}

SplitGgufWriter::SplitGgufWriter(FileSystem& fs, std::filesystem::path folder, std::string stem,
    GgufFields fields, const std::vector<GgufTensorHeader>& tensors, int64_t max_bytes)
    : fs_(fs)
    , folder_(std::move(folder))
    , stem_(std::move(stem))
    , fields_(std::move(fields))
    , parts_(split_gguf(tensors, max_bytes))
{
    if (parts_.size() > 1) {
        fields_.set("split.count", static_cast<uint16_t>(parts_.size()));
        fields_.set("split.tensors.count", static_cast<int32_t>(tensors.size()));
    }
    begin_part();
}

void SplitGgufWriter::begin_part()
{
    BITSMITH_ASSERT(next_ < parts_.size());
    if (parts_.size() > 1) {
        fields_.set("split.no", static_cast<uint16_t>(next_));
    }
    writer_.emplace(
        fs_, folder_ / gguf_part_name(stem_, next_, parts_.size()), fields_, parts_[next_]);
    ++next_;
    // What the model is stands in the first part alone.
    GgufFields later;
    for (const auto& [key, value] : fields_.fields()) {
        if (key.starts_with("split.")) {
            later.set(key, value);
        }
    }
    fields_ = std::move(later);
}

void SplitGgufWriter::write(std::string_view name, std::span<const std::byte> bytes)
{
    if (writer_->is_complete()) {
        writer_->finish();
        begin_part();
    }
    writer_->write(name, bytes);
}

void SplitGgufWriter::finish()
{
    BITSMITH_ASSERT(next_ == parts_.size());
    writer_->finish();
}

} // namespace bitsmith::tensor
