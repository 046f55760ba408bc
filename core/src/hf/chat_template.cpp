// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/chat_template.h"

#include "base/json_io.h"
#include "hf/bridge_call.h"

#include <bitsmith/error.h>

namespace bitsmith::hf {

namespace {

// The longest templates in use take below 200 steps a message; the limits leave a factor of 1000
// and still end an endless loop within a second or two.
constexpr uint64_t kSteps = 20'000'000;
constexpr size_t kOutputFactor = 8;
constexpr size_t kOutputFloor = 1U << 20;
constexpr size_t kDepth = 100;

} // namespace

std::string ChatTemplate::render(
    std::span<const ChatMessage> messages, bool add_generation_prompt) const
{
    Json list = Json::array();
    for (const ChatMessage& message : messages) {
        list.push_back({{"role", message.role}, {"content", message.content}});
    }
    // transformers passes the two optional inputs as None rather than leaving them out.
    const Json context = {{"messages", std::move(list)}, {"tools", nullptr}, {"documents", nullptr},
        {"bos_token", bos_token}, {"eos_token", eos_token},
        {"add_generation_prompt", add_generation_prompt}};
    std::string text;
    try {
        text = context.dump();
    } catch (const Json::exception& error) {
        fail(ErrorCode::FileCorrupt, std::string("a message is not UTF-8: ") + error.what());
    }

    const bsb_template_limits limits{
        kSteps, kOutputFloor + kOutputFactor * text.size(), kDepth, now};
    BridgeBytes rendered;
    BridgeError error;
    const bsb_status status = bsb_template_render(bytes_of(source), source.size(), bytes_of(text),
        text.size(), &limits, rendered.out(), error.out());
    switch (status) {
    case BSB_OK:
        return rendered.text();
    case BSB_RAISED:
        fail(ErrorCode::UnsupportedModel,
            "the chat template refuses this conversation: " + error.text());
    case BSB_LIMIT:
        fail(ErrorCode::UnsupportedModel, "the chat template was stopped: " + error.text());
    case BSB_PANIC:
        fail(ErrorCode::Internal, "the template library failed: " + error.text());
    default:
        fail(ErrorCode::UnsupportedModel, "the chat template cannot be used: " + error.text());
    }
}

} // namespace bitsmith::hf
