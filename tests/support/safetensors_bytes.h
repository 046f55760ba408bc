// SPDX-License-Identifier: GPL-3.0-or-later
// Safetensors files put together by hand, so that single bytes of them can be wrong.
#pragma once

#include "base/mapped_file.h"

#include <string>
#include <string_view>

/// Length, header text as given, data.
inline std::string safetensors_text(std::string_view header, std::string_view data)
{
    std::string bytes(8, '\0');
    const uint64_t length = header.size();
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[i] = static_cast<char>(length >> (8 * i));
    }
    return bytes.append(header).append(data);
}

inline std::shared_ptr<const bitsmith::ByteSource> bytes_source(
    std::string_view text, std::string name = "test.safetensors")
{
    const auto* first = reinterpret_cast<const std::byte*>(text.data());
    return bitsmith::memory_source({first, first + text.size()}, std::move(name));
}
