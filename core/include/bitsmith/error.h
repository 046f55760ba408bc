// SPDX-License-Identifier: GPL-3.0-or-later
// Errors that end an operation, and issues found in a job before it starts.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitsmith {

/// What kind of failure happened; a new code needs a reader who acts differently on it.
enum class ErrorCode
{
    InvalidSpec,
    FileNotFound,
    FileCorrupt,
    UnsupportedModel,
    UnsupportedScheme,
    UnsupportedFormat,
    MissingTensor,
    ShapeMismatch,
    OutOfMemory,
    DeviceUnavailable,
    NumericFailure,
    WriteFailed,
    Internal,
};

/// Word of a code as it stands in JSON, for example `file_corrupt`.
std::string_view to_string(ErrorCode code);
/// Inverse of to_string; `Internal` for a word that is not known.
ErrorCode error_code_from(std::string_view word);

/// The one exception type of the core. `what()` is the whole text: message, context, hint.
class Error : public std::runtime_error
{
public:
    using Context = std::vector<std::pair<std::string, std::string>>;

    Error(ErrorCode code, std::string message, Context context = {}, std::string hint = {});

    ErrorCode code() const { return code_; }
    /// What happened, in English, without the context.
    const std::string& message() const { return message_; }
    /// Where it happened: ordered pairs such as file, tensor, layer, block.
    const Context& context() const { return context_; }
    /// What to do next; may be empty.
    const std::string& hint() const { return hint_; }

private:
    ErrorCode code_;
    std::string message_;
    Context context_;
    std::string hint_;
};

[[noreturn]] void fail(
    ErrorCode code, std::string message, Error::Context context = {}, std::string hint = {});

/// Thrown at a checkpoint after RunControl::cancel. Not an Error: no `catch (const Error&)`
/// swallows it.
class Cancelled : public std::exception
{
public:
    const char* what() const noexcept override { return "cancelled"; }
};

enum class Severity
{
    Error,
    Warning,
    Info
};
std::string_view to_string(Severity severity);

/// One finding about a job before it starts.
struct Issue
{
    Severity severity = Severity::Error;
    std::string id; ///< rule of the catalogue, for example "V02"
    std::string field; ///< path of the field, for example "recipe.iters"; empty for the whole job
    std::string message; ///< one or two sentences: the thing, the reason, the consequence
    std::string
        fix_value; ///< value that `field` could be set to; empty when there is no single one

    bool operator==(const Issue&) const = default;
};

/// Programmer errors only; throws Error{Internal} in every build and is never reachable by user
/// input.
#define BITSMITH_ASSERT(condition)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ::bitsmith::fail(::bitsmith::ErrorCode::Internal, "assertion failed: " #condition,     \
                {{"source", __FILE__ ":" + std::to_string(__LINE__)}});                            \
        }                                                                                          \
    } while (false)

} // namespace bitsmith
