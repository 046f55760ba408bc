// SPDX-License-Identifier: GPL-3.0-or-later
// Writes GGUF files in memory for tests, well-formed unless a test says otherwise.
#pragma once

#include "base/mapped_file.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace bitsmith::test {

using Bytes = std::vector<std::byte>;

template <class T>
void append(Bytes& out, T value)
{
    const auto* begin = reinterpret_cast<const std::byte*>(&value);
    out.insert(out.end(), begin, begin + sizeof value);
}

inline void append_string(Bytes& out, const std::string& text)
{
    append(out, static_cast<uint64_t>(text.size()));
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    out.insert(out.end(), begin, begin + text.size());
}

/// Value types by number, formats.md 6.1.
class GgufBuilder
{
public:
    uint32_t version = 3;
    uint64_t alignment = 32; ///< stored only when it is not 32
    std::string magic = "GGUF";

    template <class T>
    GgufBuilder& scalar(const std::string& key, uint32_t type, T value)
    {
        begin_kv(key, type);
        append(kv_, value);
        return *this;
    }
    GgufBuilder& u32(const std::string& key, uint32_t value) { return scalar(key, 4, value); }
    GgufBuilder& f32(const std::string& key, float value) { return scalar(key, 6, value); }
    GgufBuilder& flag(const std::string& key, bool value)
    {
        return scalar(key, 7, static_cast<uint8_t>(value));
    }
    GgufBuilder& text(const std::string& key, const std::string& value)
    {
        begin_kv(key, 8);
        append_string(kv_, value);
        return *this;
    }
    GgufBuilder& texts(const std::string& key, const std::vector<std::string>& values)
    {
        begin_array(key, 8, values.size());
        for (const std::string& value : values) {
            append_string(kv_, value);
        }
        return *this;
    }
    template <class T>
    GgufBuilder& array(const std::string& key, uint32_t type, const std::vector<T>& values)
    {
        begin_array(key, type, values.size());
        for (const T& value : values) {
            append(kv_, value);
        }
        return *this;
    }
    /// A key with the bytes of its type and value as given.
    GgufBuilder& raw(const std::string& key, const Bytes& type_and_value)
    {
        append_string(kv_, key);
        kv_.insert(kv_.end(), type_and_value.begin(), type_and_value.end());
        ++n_kv_;
        return *this;
    }

    /// `ne` runs fastest first, as stored.
    GgufBuilder& tensor(
        const std::string& name, std::vector<uint64_t> ne, uint32_t type, const Bytes& data)
    {
        append_string(infos_, name);
        append(infos_, static_cast<uint32_t>(ne.size()));
        for (const uint64_t extent : ne) {
            append(infos_, extent);
        }
        append(infos_, type);
        append(infos_, static_cast<uint64_t>(data_.size()));
        data_.insert(data_.end(), data.begin(), data.end());
        data_.resize((data_.size() + alignment - 1) / alignment * alignment);
        ++n_tensors_;
        return *this;
    }
    GgufBuilder& floats(
        const std::string& name, std::vector<uint64_t> ne, const std::vector<float>& values)
    {
        Bytes data;
        for (const float value : values) {
            append(data, value);
        }
        return tensor(name, std::move(ne), 0, data);
    }

    Bytes bytes()
    {
        Bytes out;
        for (const char c : magic) {
            append(out, c);
        }
        append(out, version);
        append(out, n_tensors_);
        append(out, n_kv_);
        out.insert(out.end(), kv_.begin(), kv_.end());
        out.insert(out.end(), infos_.begin(), infos_.end());
        out.resize((out.size() + alignment - 1) / alignment * alignment);
        out.insert(out.end(), data_.begin(), data_.end());
        return out;
    }
    std::shared_ptr<const ByteSource> source(const std::string& name = "test.gguf")
    {
        return memory_source(bytes(), name);
    }

private:
    void begin_kv(const std::string& key, uint32_t type)
    {
        append_string(kv_, key);
        append(kv_, type);
        ++n_kv_;
    }
    void begin_array(const std::string& key, uint32_t type, std::size_t count)
    {
        begin_kv(key, 9);
        append(kv_, type);
        append(kv_, static_cast<uint64_t>(count));
    }

    Bytes kv_, infos_, data_;
    uint64_t n_kv_ = 0, n_tensors_ = 0;
};

} // namespace bitsmith::test
