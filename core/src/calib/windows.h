// SPDX-License-Identifier: GPL-3.0-or-later
// Cuts token sequences into windows of equal length.
#pragma once

#include <bitsmith/job_spec.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace bitsmith::calib {

using Tokens = std::vector<int32_t>;

struct WindowRules
{
    int64_t seqlen = 2048;
    Packing packing = Packing::Packed;
    std::optional<int32_t> prefix; ///< first token of every window; empty: none
    std::optional<int32_t> separator; ///< between packed documents
};

/// What became of the documents, for messages.
struct WindowCounts
{
    int64_t documents = 0;
    int64_t tokens = 0;
    int64_t too_short = 0; ///< documents dropped because they are shorter than a window (Filtered)
    int64_t repetitive = 0; ///< windows dropped because one token makes up more than half
};

/// Receives documents one by one and gives full windows.
///   Packed: documents are joined, the separator between them, and cut; nothing but the tail is lost.
///   Filtered: a document gives its first seqlen tokens, or nothing when it is shorter (algorithm.md 11.3).
class WindowCutter
{
public:
    explicit WindowCutter(WindowRules rules)
        : rules_(rules)
    { }
    void add(const Tokens& document);
    const std::vector<Tokens>& windows() const { return windows_; }
    const WindowCounts& counts() const { return counts_; }

private:
    void keep(Tokens window);

    WindowRules rules_;
    Tokens buffer_;
    std::vector<Tokens> windows_;
    WindowCounts counts_;
};

} // namespace bitsmith::calib
