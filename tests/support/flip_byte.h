// SPDX-License-Identifier: GPL-3.0-or-later
// Damages one tensor of a safetensors file.
#pragma once

#include "base/json_io.h"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

/// Inverts the lowest bit of the first byte of `tensor`.
inline void flip_byte(const std::filesystem::path& file, const std::string& tensor)
{
    std::ifstream in(file, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof(header));
    const bitsmith::Json json = bitsmith::parse_json(bytes.substr(8, header), file.string());
    const auto begin = json[tensor]["data_offsets"][0].get<uint64_t>();
    bytes[8 + header + begin] = static_cast<char>(bytes[8 + header + begin] ^ 1);
    std::ofstream(file, std::ios::binary) << bytes;
}
