// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of a run's original model and of an export of it, side by side.
#include "base/timing.h"
#include "eval/generator.h"
#include "export/gguf/gguf_exporter.h"
#include "run/prompt.h"
#include "run/run_record.h"
#include "run/runtime_model.h"
#include "run/stages.h"
#include "tensor/device.h"

#include <bitsmith/job.h>

#include <algorithm>

namespace bitsmith {

namespace {

constexpr int64_t kTokens = 48; ///< per answer

struct Answers
{
    std::vector<std::vector<int32_t>> ids;
    std::vector<std::string> texts;
};

/// Greedy answers to all prompts, as user's messages where the model has a template for them. Each
/// model uses its own tokenizer: an export must bring a working one.
Answers answer_all(
    RunContext& context, const std::string& model, const std::function<void()>& token_found)
{
    const auto source = source::open_model(model);
    const hf::TextSide text = source->load_text();
    warn_about_runtime(context, *source);
    model::CausalLm decoder = make_model(context, *source, Purpose::Measuring);
    put_runtime_head(decoder, *source);
    const eval::Generator generator(
        context, decoder, [&](int64_t i) { return load_runtime_block(decoder, *source, i); });
    std::vector<std::vector<int32_t>> prompts;
    for (const std::string& prompt : comparison_prompts()) {
        prompts.push_back(encode_prompt(text, prompt, text.chat_template.has_value(), model));
    }
    eval::SamplingOptions sampling;
    sampling.max_tokens = kTokens;
    sampling.stop_ids = stop_ids(text);
    Answers answers;
    answers.ids = generator.sample(context, prompts, sampling, [&token_found](int32_t) {
        token_found();
        return true;
    });
    for (const std::vector<int32_t>& ids : answers.ids) {
        answers.texts.push_back(text.tokenizer.decode(ids, true));
    }
    return answers;
}

int64_t first_difference(const std::vector<int32_t>& a, const std::vector<int32_t>& b)
{
    const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    return end == a.end() && other == b.end() ? -1 : end - a.begin();
}

/// What opens as a model: the folder, or the GGUF file in it.
std::string model_in(const std::filesystem::path& exported)
{
    const std::filesystem::path model = exporting::exporter_of(exported).id() == "gguf"
        ? exporting::gguf_file_in(exported)
        : exported;
    return model.string();
}

} // namespace

const std::vector<std::string>& comparison_prompts()
{
    static const std::vector<std::string> prompts = {
        "The capital of France is",
        "Explain in two sentences why the sky is blue.",
        "What is 17 times 6? Think step by step.",
        "Write a Python function that returns the largest number of a list.",
        "Translate into German: The library opens at nine in the morning.",
        "List three differences between a frog and a toad.",
        "Summarize in one sentence: The storm closed the harbour for two days, so the ships waited "
        "outside and the fruit had to be unloaded elsewhere.",
        "Once upon a time, in a village by the sea,",
    };
    return prompts;
}

std::vector<AnswerPair> compare_answers(const std::filesystem::path& run,
    const std::filesystem::path& exported, Observer& observer, RunControl control)
{
    EventEmitter emitter(observer);
    RunContext context{
        emitter, std::move(control), tensor::resolve_device("auto"), uint64_t{0} /* greedy */};
    const std::vector<std::string>& prompts = comparison_prompts();
    const std::string candidate = model_in(exported);
    const auto limit = kTokens * static_cast<int64_t>(prompts.size());
    int64_t done = 0;
    const auto report = [&] {
        emitter.emit(StageProgress{Stage::Evaluate, done, 2 * limit, "tokens"});
    };
    const auto count = [&] {
        ++done;
        report();
    };
    report();
    const Answers original = answer_all(context, read_run_record(run).spec.model.path, count);
    release_free_memory();
    done = limit; // short answers leave the count behind
    report();
    const Answers quantized = answer_all(context, candidate, count);
    std::vector<AnswerPair> pairs;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        pairs.push_back({prompts[i], original.texts[i], quantized.texts[i],
            first_difference(original.ids[i], quantized.ids[i])});
    }
    return pairs;
}

} // namespace bitsmith
