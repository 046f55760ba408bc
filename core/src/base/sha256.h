// SPDX-License-Identifier: GPL-3.0-or-later
// SHA-256 in pieces, for content that is hashed while it streams. Source: FIPS 180-4.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bitsmith {

class Sha256
{
public:
    /// `plain`: without instructions of the processor, which give the same.
    explicit Sha256(bool plain = false)
        : plain_(plain)
    { }
    void update(std::span<const std::byte> bytes);
    void update(std::string_view text)
    {
        update(std::as_bytes(std::span(text.data(), text.size())));
    }
    /// Lower-case hex of everything so far; the object must not be used afterwards.
    std::string finish();

private:
    void add_blocks(const std::byte* data, std::size_t n_blocks);

    bool plain_;
    std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
        0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::byte, 64> pending_ = {};
    std::size_t n_pending_ = 0;
    uint64_t n_bytes_ = 0;
};

} // namespace bitsmith
