// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/windows.h"

#include <algorithm>

namespace bitsmith::calib {

void WindowCutter::add(const Tokens& document)
{
    ++counts_.documents;
    counts_.tokens += static_cast<int64_t>(document.size());
    const std::size_t body = static_cast<std::size_t>(rules_.seqlen) - (rules_.prefix ? 1 : 0);
    // A template may have written the prefix already; keep() adds it.
    const bool has_prefix = rules_.prefix && !document.empty() && document[0] == *rules_.prefix;
    const auto first = document.begin() + (has_prefix ? 1 : 0);
    if (rules_.packing == Packing::Filtered) {
        if (document.end() - first < static_cast<std::ptrdiff_t>(body)) {
            ++counts_.too_short;
            return;
        }
        keep(Tokens(first, first + static_cast<std::ptrdiff_t>(body)));
        return;
    }
    buffer_.insert(buffer_.end(), first, document.end());
    if (rules_.separator && (buffer_.empty() || buffer_.back() != *rules_.separator)) {
        buffer_.push_back(*rules_.separator);
    }
    std::size_t used = 0;
    for (; buffer_.size() - used >= body; used += body) {
        const auto begin = buffer_.begin() + static_cast<std::ptrdiff_t>(used);
        keep(Tokens(begin, begin + static_cast<std::ptrdiff_t>(body)));
    }
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used));
}

void WindowCutter::keep(Tokens window)
{
    // A window that is mostly one token teaches nothing (algorithm.md 11.3 looks at the last token only).
    const int32_t last = window.back();
    const auto repeats = std::count(window.begin(), window.end(), last);
    if (window.size() > 2 && repeats * 2 > static_cast<std::ptrdiff_t>(window.size())) {
        ++counts_.repetitive;
        return;
    }
    if (rules_.prefix) {
        window.insert(window.begin(), *rules_.prefix);
    }
    windows_.push_back(std::move(window));
}

} // namespace bitsmith::calib
