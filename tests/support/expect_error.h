// SPDX-License-Identifier: GPL-3.0-or-later
// Checks that an expression throws bitsmith::Error of one code whose whole text holds some words.
#pragma once

#include <bitsmith/error.h>

#include <string>
#include <vector>

/// Empty when `action` throws as expected, otherwise what happened instead.
template <class Action>
std::string unexpected(
    bitsmith::ErrorCode code, const std::vector<std::string>& words, const Action& action)
{
    try {
        action();
    } catch (const bitsmith::Error& error) {
        const std::string text = error.what();
        std::string missing;
        for (const std::string& word : words) {
            missing += text.find(word) == std::string::npos ? " '" + word + "'" : "";
        }
        if (error.code() != code) {
            return "code " + std::string(to_string(error.code())) + ": " + text;
        }
        return missing.empty() ? "" : "lacks" + missing + ": " + text;
    } catch (const std::exception& error) {
        return std::string("another exception: ") + error.what();
    }
    return "nothing was thrown";
}

/// EXPECT_ERROR(FileCorrupt, {"config.json", "line"}, read(...)). Variadic: commas in the action.
#define EXPECT_WORDS(...) (std::vector<std::string> __VA_ARGS__)
#define EXPECT_ERROR(code, words, ...)                                                             \
    QCOMPARE(unexpected(bitsmith::ErrorCode::code, words, [&] { __VA_ARGS__; }), std::string())
