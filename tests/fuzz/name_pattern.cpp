// SPDX-License-Identifier: GPL-3.0-or-later
// A regular expression of a configuration, a line feed, and a layer's name.
#include "source/name_pattern.h"

#include "guarded.h"

using namespace bitsmith;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size)
{
    return fuzz::guarded(data, size, [](std::span<const uint8_t> input) {
        const std::string_view text = fuzz::text_of(input);
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) {
            return;
        }
        const source::NamePattern pattern(std::string(text.substr(0, end)), "extra_config");
        const std::string name(text.substr(end + 1));
        const bool starts = pattern.matches_start(name);
        BITSMITH_ASSERT(pattern.occurs_in(name) || !starts);
    });
}
