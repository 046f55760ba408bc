// SPDX-License-Identifier: GPL-3.0-or-later
// Chat templates: programs from strangers, run without access to anything and with limits.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace bitsmith::hf {

struct ChatMessage
{
    std::string role; ///< "system", "user", "assistant"
    std::string content;
};

struct ChatTemplate
{
    std::string source; ///< Jinja, as the model folder has it
    std::string bos_token;
    std::string eos_token;
    /// Seconds since 1970 that strftime_now formats (UTC). Some templates write the date into the
    /// prompt; a fixed one (26 July 2024, the default of those templates) keeps calibration ids the
    /// same from day to day.
    int64_t now = 1721952000;

    /// Throws UnsupportedModel when the template is damaged, raises, or runs over a limit: steps,
    /// size of the text, depth of calls.
    std::string render(std::span<const ChatMessage> messages, bool add_generation_prompt) const;
};

} // namespace bitsmith::hf
