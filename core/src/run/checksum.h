// SPDX-License-Identifier: GPL-3.0-or-later
// CRC-32 (IEEE 802.3, reflected polynomial EDB88320), for records and block files of a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitsmith {

/// `before` is the checksum of the bytes that come before these.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t before = 0);
uint32_t crc32(std::string_view text);
/// Eight lower-case hexadecimal digits.
std::string crc_text(uint32_t crc);

} // namespace bitsmith
