// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/hub.h"

#include "base/text.h"
#include "hf/bridge_call.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <exception>

namespace bitsmith::hf {

namespace {

bool is_name_part(std::string_view part)
{
    return !part.empty() && part.size() <= 96 && part.front() != '.' && part.front() != '-'
        && part.find("..") == std::string_view::npos
        && std::all_of(part.begin(), part.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
                   || c == '.' || c == '_' || c == '-';
           });
}

bool is_revision(std::string_view revision)
{
    while (!revision.empty()) {
        const size_t slash = revision.find('/');
        if (!is_name_part(revision.substr(0, slash))) {
            return false;
        }
        if (slash == std::string_view::npos) {
            return true;
        }
        revision.remove_prefix(slash + 1);
    }
    return false;
}

/// Progress call with the exception it ended with: none may pass through the bridge.
struct ProgressState
{
    const HubProgress* progress;
    std::exception_ptr exception;
};

int on_progress(void* context, const char* file, uint64_t done, uint64_t total)
{
    auto* state = static_cast<ProgressState*>(context);
    try {
        return (*state->progress)(file, static_cast<int64_t>(done), static_cast<int64_t>(total))
            ? 0
            : 1;
    } catch (...) {
        state->exception = std::current_exception();
        return 1;
    }
}

struct Meaning
{
    bsb_status status;
    ErrorCode code;
    const char* reason;
    const char* message;
    const char* hint;
};

constexpr Meaning kMeanings[] = {
    {BSB_NOT_FOUND, ErrorCode::FileNotFound, "not_found", "the Hub has no such model or revision",
        "check the spelling; a private or gated repository needs HF_TOKEN"},
    {BSB_DENIED, ErrorCode::FileNotFound, "denied", "the Hub denies access to this repository",
        "accept its terms on the Hub and set HF_TOKEN"},
    {BSB_RATE_LIMITED, ErrorCode::FileNotFound, "rate_limited", "the Hub asks to wait",
        "try again in a few minutes, or set HF_TOKEN"},
    {BSB_NO_NETWORK, ErrorCode::FileNotFound, "no_network", "the Hub cannot be reached",
        "check the network; HF_HUB_OFFLINE=1 uses what was fetched before; a local folder or GGUF "
        "file works without a network"},
    {BSB_CORRUPT, ErrorCode::FileCorrupt, "corrupt", "a file arrived damaged twice",
        "try again later, or another network"},
    {BSB_IO, ErrorCode::WriteFailed, "disk", "the Hub's cache folder cannot be written",
        "free space, or set HF_HOME to another volume"},
    {BSB_SERVER, ErrorCode::FileNotFound, "server", "the Hub answered unexpectedly",
        "try again later"},
};

[[noreturn]] void fail_on_hub(
    bsb_status status, const HubRequest& request, const std::string& detail)
{
    Error::Context context{{"repository", request.repository}, {"revision", request.revision}};
    for (const Meaning& meaning : kMeanings) {
        if (meaning.status == status) {
            context.emplace_back("reason", meaning.reason);
            context.emplace_back("detail", detail);
            fail(meaning.code, meaning.message, std::move(context), meaning.hint);
        }
    }
    fail(ErrorCode::Internal, "fetching failed: " + detail, std::move(context));
}

} // namespace

std::vector<std::string> model_file_patterns()
{
    // Consolidated shards are the same weights once more, under the names of another program.
    return {"*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "!consolidated*",
        "!original/*", "!onnx/*", "!*.gguf"};
}

std::vector<std::string> dataset_file_patterns()
{
    return {"*.parquet", "*.jsonl", "*.json", "*.txt"};
}

std::optional<HubRequest> parse_hub_name(std::string_view name)
{
    if (name.starts_with("modelscope:")) {
        fail(ErrorCode::UnsupportedFormat, "ModelScope is not supported yet",
            {{"model", std::string(name)}}, "download the model and give its folder");
    }
    HubRequest request;
    if (const size_t at = name.find('@'); at != std::string_view::npos) {
        request.revision = name.substr(at + 1);
        name = name.substr(0, at);
        if (!is_revision(request.revision)) {
            return std::nullopt;
        }
    }
    const size_t slash = name.find('/');
    if (slash == std::string_view::npos || !is_name_part(name.substr(0, slash))
        || !is_name_part(name.substr(slash + 1))) {
        return std::nullopt;
    }
    request.repository = name;
    request.patterns = model_file_patterns();
    return request;
}

std::filesystem::path fetch_snapshot(const HubRequest& request, const HubProgress& progress)
{
    const std::string patterns = join(request.patterns, "\n");
    ProgressState state{&progress, nullptr};
    const bsb_hub_request native{request.repository.c_str(), request.revision.c_str(),
        request.is_dataset ? 1 : 0, patterns.c_str(), progress ? &on_progress : nullptr, &state};
    BridgeBytes folder;
    BridgeError error;
    const bsb_status status = bsb_hub_snapshot(&native, folder.out(), error.out());
    if (state.exception) {
        std::rethrow_exception(state.exception);
    }
    if (status == BSB_CANCELLED) {
        throw Cancelled();
    }
    if (status != BSB_OK) {
        fail_on_hub(status, request, error.text());
    }
    return folder.text();
}

} // namespace bitsmith::hf
