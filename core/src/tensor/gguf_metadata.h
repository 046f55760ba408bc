// SPDX-License-Identifier: GPL-3.0-or-later
// Key-value pairs of a GGUF file as typed values. Text and arrays are views on the file's bytes, so
// that a file cannot make its reader allocate more than it is long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitsmith::tensor {

/// Numbers as stored (formats.md 6.1).
enum class GgufValueType : uint32_t
{
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
};

/// Bytes of a value of fixed size; 0 for String and Array.
int64_t gguf_value_bytes(GgufValueType type);

/// Elements back to back; bounds were checked when the file was opened.
struct GgufArray
{
    GgufValueType element = GgufValueType::U8; ///< never Array
    int64_t count = 0;
    std::span<const std::byte> bytes;
};

/// Unsigned, signed, floating point, flag, text, array. An F32 becomes the double with the same
/// shortest decimal spelling: 1e-5f reads as 1e-5, as the model's author wrote it.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray>;

/// One value of fixed size from its stored bytes.
GgufValue decode_gguf_value(GgufValueType type, std::span<const std::byte> bytes);

/// Getters return nothing when the key is absent, and throw FileCorrupt naming file and key when
/// the value is of another kind. Views are valid while the reader lives.
class GgufMetadata
{
public:
    explicit GgufMetadata(std::string file)
        : file_(std::move(file))
    { }

    /// False when the key is there already.
    bool insert(std::string key, GgufValue value);
    bool contains(std::string_view key) const { return find(key) != nullptr; }
    const GgufValue* find(std::string_view key) const;
    const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
    const std::string& file() const { return file_; }

    /// Any integer type that fits, and an array of one (per-layer values that are all equal too).
    std::optional<int64_t> integer(std::string_view key) const;
    std::optional<double> number(std::string_view key) const;
    std::optional<bool> flag(std::string_view key) const;
    std::optional<std::string> text(std::string_view key) const;
    std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
    std::optional<std::vector<int64_t>> integers(std::string_view key) const;
    std::optional<std::vector<double>> numbers(std::string_view key) const;

private:
    [[noreturn]] void wrong_kind(std::string_view key, std::string_view wanted) const;
    const GgufArray* array(std::string_view key, std::string_view wanted) const;

    std::string file_;
    std::map<std::string, GgufValue, std::less<>> values_;
};

} // namespace bitsmith::tensor
