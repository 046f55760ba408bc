// SPDX-License-Identifier: GPL-3.0-or-later
// `generate`: continues a text; and the sampler that lets a model answer calibration prompts.
#include "eval/generator.h"
#include "run/prompt.h"
#include "run/runtime_model.h"
#include "run/stages.h"
#include "tensor/device.h"

#include <bitsmith/job.h>

namespace bitsmith {

std::vector<int32_t> encode_prompt(
    const hf::TextSide& text, const std::string& prompt, bool chat, const std::string& model)
{
    if (!chat) {
        return text.tokenizer.encode(prompt, true);
    }
    if (!text.chat_template) {
        fail(ErrorCode::InvalidSpec, "the model has no chat template", {{"model", model}},
            "leave out the chat option");
    }
    const std::vector<hf::ChatMessage> messages{{"user", prompt}};
    return text.tokenizer.encode(text.chat_template->render(messages, true), false);
}

std::vector<int32_t> stop_ids(const hf::TextSide& text)
{
    std::vector<int32_t> ids = text.eos_ids;
    if (text.eos) {
        ids.push_back(*text.eos);
    }
    return ids;
}

std::string generate(const GenerateOptions& options, Observer& observer, RunControl control)
{
    EventEmitter emitter(observer);
    RunContext context{emitter, std::move(control), tensor::resolve_device(options.device),
        static_cast<uint64_t>(options.seed)};
    tensor::set_up_cpu(options.threads);
    const auto source = source::open_model(options.model);
    const hf::TextSide text = source->load_text();
    const std::vector<int32_t> prompt =
        encode_prompt(text, options.prompt, options.chat, options.model);
    warn_about_runtime(context, *source);
    model::CausalLm model = make_model(context, *source, Purpose::Measuring);
    put_runtime_head(model, *source);
    const eval::Generator generator(
        context, model, [&](int64_t i) { return load_runtime_block(model, *source, i); });

    eval::SamplingOptions sampling;
    sampling.max_tokens = options.max_tokens;
    sampling.temperature = options.temperature;
    sampling.top_k = options.top_k;
    sampling.top_p = options.top_p;
    sampling.stop_ids = stop_ids(text);
    hf::TextStream stream(text.tokenizer);
    std::string produced;
    generator.generate(context, prompt, sampling, [&](int32_t id) {
        const std::string piece = stream.push(id);
        if (!piece.empty()) {
            produced += piece;
            context.events.emit(TextProduced{piece});
        }
        return true;
    });
    return produced;
}

calib::Sampler make_sampler(
    RunContext& context, const model::CausalLm& model, const source::ModelSource& source)
{
    // The blocks are loaded when the first batch is asked for, and go with the sampler. Each batch
    // draws from a stream of its own: the same prompts come back in later rounds.
    struct State
    {
        std::unique_ptr<eval::Generator> generator;
        eval::SamplingOptions options;
    };
    auto state = std::make_shared<State>();
    state->options.temperature = 1;
    return [&context, &model, &source, state](
               const std::vector<std::vector<int32_t>>& prompts, int64_t max_tokens) {
        if (!state->generator) {
            state->options.stop_ids = stop_ids(source.load_text());
            state->generator = std::make_unique<eval::Generator>(context, model);
        }
        state->options.max_tokens = max_tokens;
        auto answers = state->generator->sample(context, prompts, state->options);
        ++state->options.stream;
        return answers;
    };
}

} // namespace bitsmith
