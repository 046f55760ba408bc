// SPDX-License-Identifier: GPL-3.0-or-later
// Ownership of what the bridge hands out; for the sources of this folder only.
#pragma once

#include "hf/bridge/bridge.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bitsmith::hf {

/// Receives the error text of a call.
class BridgeError
{
public:
    BridgeError() = default;
    BridgeError(const BridgeError&) = delete;
    BridgeError& operator=(const BridgeError&) = delete;
    ~BridgeError() { bsb_text_free(text_); }

    char** out() { return &text_; }
    std::string text() const { return text_ == nullptr ? std::string() : std::string(text_); }

private:
    char* text_ = nullptr;
};

/// Receives bytes of a call.
class BridgeBytes
{
public:
    BridgeBytes() = default;
    BridgeBytes(const BridgeBytes&) = delete;
    BridgeBytes& operator=(const BridgeBytes&) = delete;
    ~BridgeBytes() { bsb_bytes_free(bytes_); }

    bsb_bytes* out() { return &bytes_; }
    std::string text() const
    {
        return bytes_.size == 0
            ? std::string()
            : std::string(reinterpret_cast<const char*>(bytes_.data), bytes_.size);
    }

private:
    bsb_bytes bytes_{nullptr, 0, 0};
};

inline const uint8_t* bytes_of(std::string_view text)
{
    return reinterpret_cast<const uint8_t*>(text.data());
}

} // namespace bitsmith::hf
