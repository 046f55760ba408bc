// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/dataset_entry.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <charconv>

namespace bitsmith::calib {

namespace {

constexpr const char* kOptions = "num=N, concat, apply_chat_template, system_prompt=TEXT";

[[noreturn]] void refuse(const DatasetEntry& entry, const std::string& found, const char* allowed)
{
    fail(ErrorCode::InvalidSpec, "a source of calibration text has an option that is not known",
        {{"field", "calibration.dataset"}, {"source", entry.name}, {"found", found},
            {"allowed", allowed}},
        "File names must not hold ',' or ':'");
}

int64_t number(const DatasetEntry& entry, const std::string& option, const std::string& value)
{
    int64_t found = 0;
    const char* const end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, found);
    if (error != std::errc() || stop != end || found < 1) {
        refuse(entry, option, "num=1 or more");
    }
    return found;
}

bool is_on(const DatasetEntry& entry, const std::string& option, const std::string& value)
{
    if (value != "true" && value != "false") {
        refuse(entry, option, "=true, =false, or neither");
    }
    return value == "true";
}

void set_option(DatasetEntry& entry, const std::string& option)
{
    const std::size_t equals = option.find('=');
    const std::string key = option.substr(0, equals);
    const std::string value =
        equals == std::string::npos ? std::string("true") : option.substr(equals + 1);
    if (key == "num") {
        entry.num = number(entry, option, value);
    } else if (entry.is_self() || entry.is_tokens()) {
        refuse(entry, option, "num=N");
    } else if (key == "concat") {
        entry.packing = is_on(entry, option, value) ? Packing::Packed : Packing::Filtered;
    } else if (key == "apply_chat_template") {
        entry.apply_chat_template = is_on(entry, option, value);
    } else if (key == "system_prompt" && equals != std::string::npos) {
        entry.apply_chat_template = true;
        entry.system_prompt = value;
    } else {
        refuse(entry, option, kOptions);
    }
}

} // namespace

std::vector<DatasetEntry> parse_dataset(std::string_view text)
{
    std::vector<DatasetEntry> entries;
    for (const std::string& part : split(text, ',')) {
        const std::vector<std::string> words = split(part, ':');
        if (words.empty()) {
            continue;
        }
        DatasetEntry entry;
        entry.name = words.front();
        for (std::size_t i = 1; i < words.size(); ++i) {
            set_option(entry, words[i]);
        }
        entries.push_back(std::move(entry));
    }
    if (entries.empty()) {
        fail(ErrorCode::InvalidSpec, "no calibration text is named",
            {{"field", "calibration.dataset"}, {"found", std::string(text)}},
            "Name a text file, or self");
    }
    return entries;
}

} // namespace bitsmith::calib
