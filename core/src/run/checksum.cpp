// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/checksum.h"

#include <array>

namespace bitsmith {

namespace {

constexpr std::size_t kSlices = 8;
using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

/// tables[k][b]: checksum of byte b followed by k zero bytes.
constexpr Tables make_tables()
{
    Tables tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1) ^ ((value & 1U) != 0 ? 0xEDB88320U : 0U);
        }
        tables[0][byte] = value;
    }
    for (std::size_t k = 1; k < kSlices; ++k) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const uint32_t before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFFU];
        }
    }
    return tables;
}
constexpr Tables kTables = make_tables();

uint32_t byte_at(std::span<const std::byte> bytes, std::size_t i)
{
    return std::to_integer<uint32_t>(bytes[i]);
}

} // namespace

uint32_t crc32(std::span<const std::byte> bytes, uint32_t before)
{
    uint32_t crc = ~before;
    // Eight bytes a step: block files of large models are hundreds of megabytes.
    while (bytes.size() >= kSlices) {
        const uint32_t low = crc
            ^ (byte_at(bytes, 0) | byte_at(bytes, 1) << 8 | byte_at(bytes, 2) << 16
                | byte_at(bytes, 3) << 24);
        crc = kTables[7][low & 0xFFU] ^ kTables[6][(low >> 8) & 0xFFU]
            ^ kTables[5][(low >> 16) & 0xFFU] ^ kTables[4][low >> 24]
            ^ kTables[3][byte_at(bytes, 4)] ^ kTables[2][byte_at(bytes, 5)]
            ^ kTables[1][byte_at(bytes, 6)] ^ kTables[0][byte_at(bytes, 7)];
        bytes = bytes.subspan(kSlices);
    }
    for (const std::byte byte : bytes) {
        crc = (crc >> 8) ^ kTables[0][(crc ^ std::to_integer<uint32_t>(byte)) & 0xFFU];
    }
    return ~crc;
}

uint32_t crc32(std::string_view text)
{
    return crc32(std::as_bytes(std::span(text.data(), text.size())));
}

std::string crc_text(uint32_t crc)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text(8, '0');
    for (std::size_t i = 8; i-- > 0; crc >>= 4) {
        text[i] = digits[crc & 0xFU];
    }
    return text;
}

} // namespace bitsmith
