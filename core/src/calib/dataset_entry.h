// SPDX-License-Identifier: GPL-3.0-or-later
// The setting `dataset`: where calibration text comes from, and how much of it. Source:
// algorithm.md 11.2.
#pragma once

#include <bitsmith/job_spec.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::calib {

/// One source of a mixture.
struct DatasetEntry
{
    std::string name; ///< "self", or a file
    std::optional<int64_t> num; ///< samples that it gives; empty: an equal share of those left
    std::optional<Packing> packing; ///< instead of the job's
    bool apply_chat_template = false; ///< a plain text becomes what a user says
    std::string system_prompt; ///< of such conversations; empty: none

    bool is_self() const { return name == "self"; }
    bool is_tokens() const { return name.ends_with(".safetensors"); }
};

/// Entries "name:option:option" between commas; blanks around a part do not count:
///
///     num=N                          samples that the source gives
///     concat[=true|false]            its documents are joined and cut, or short ones dropped
///     apply_chat_template[=true|false]
///     system_prompt=TEXT             of the chat template, which it implies; without ',' and ':'
///
/// `self` and token ids take num only. Throws InvalidSpec naming entry, option and what is allowed.
std::vector<DatasetEntry> parse_dataset(std::string_view text);

} // namespace bitsmith::calib
