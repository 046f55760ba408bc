// SPDX-License-Identifier: GPL-3.0-or-later
#include <bitsmith/error.h>

#include <array>

namespace bitsmith {

namespace {

constexpr std::array<std::string_view, 13> kErrorCodes = {"invalid_spec", "file_not_found",
    "file_corrupt", "unsupported_model", "unsupported_scheme", "unsupported_format",
    "missing_tensor", "shape_mismatch", "out_of_memory", "device_unavailable", "numeric_failure",
    "write_failed", "internal"};

std::string whole_text(
    const std::string& message, const Error::Context& context, const std::string& hint)
{
    std::string text = message;
    for (std::size_t i = 0; i < context.size(); ++i) {
        text += (i == 0 ? " [" : ", ") + context[i].first + ": " + context[i].second;
    }
    if (!context.empty()) {
        text += "]";
    }
    if (!hint.empty()) {
        text += ". " + hint;
    }
    return text;
}

} // namespace

std::string_view to_string(ErrorCode code)
{
    return kErrorCodes[static_cast<std::size_t>(code)];
}

ErrorCode error_code_from(std::string_view word)
{
    for (std::size_t i = 0; i < kErrorCodes.size(); ++i) {
        if (kErrorCodes[i] == word) {
            return static_cast<ErrorCode>(i);
        }
    }
    return ErrorCode::Internal;
}

Error::Error(ErrorCode code, std::string message, Context context, std::string hint)
    : std::runtime_error(whole_text(message, context, hint))
    , code_(code)
    , message_(std::move(message))
    , context_(std::move(context))
    , hint_(std::move(hint))
{ }

void fail(ErrorCode code, std::string message, Error::Context context, std::string hint)
{
    throw Error(code, std::move(message), std::move(context), std::move(hint));
}

std::string_view to_string(Severity severity)
{
    constexpr std::array<std::string_view, 3> names = {"error", "warning", "info"};
    return names[static_cast<std::size_t>(severity)];
}

} // namespace bitsmith
