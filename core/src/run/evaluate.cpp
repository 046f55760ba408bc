// SPDX-License-Identifier: GPL-3.0-or-later
// `eval`: distance between two models on a text, or the perplexity of one.
#include "base/text.h"
#include "eval/divergence.h"
#include "run/stages.h"
#include "run/tune_stage.h"
#include "tensor/device.h"

#include <bitsmith/job.h>

namespace bitsmith {

EvalReport evaluate(const EvalOptions& options, Observer& observer, RunControl control)
{
    EventEmitter emitter(observer);
    RunContext context{emitter, std::move(control), tensor::resolve_device(options.device), 0};
    tensor::set_threads(options.threads);
    const StageScope stage(context, Stage::Evaluate, options.model);

    const auto source = source::open_model(options.model);
    const auto reference_source =
        options.reference.empty() ? nullptr : source::open_model(options.reference);
    const source::ModelSource& text_source = reference_source ? *reference_source : *source;
    std::optional<hf::TextSide> text;
    if (!options.text.ends_with(".safetensors")) {
        text = text_source.load_text();
    }
    const at::Tensor ids = eval::evaluation_windows(
        {options.text, options.tokens, options.seqlen}, text ? &*text : nullptr);

    const model::CausalLm candidate = make_model(context, *source, Purpose::Measuring);
    std::optional<model::CausalLm> reference;
    if (reference_source) {
        reference.emplace(make_model(context, *reference_source, Purpose::Measuring));
    }
    const int64_t total = candidate.n_blocks() + (reference ? reference->n_blocks() : 0);
    eval::Measured measured_reference;
    if (reference) {
        measured_reference = {&*reference,
            eval::run_blocks(
                context, *reference, ids, [&](int64_t i) { return reference->load_block(i); }, 0,
                total)};
    }
    const eval::Measured measured{&candidate,
        eval::run_blocks(
            context, candidate, ids, [&](int64_t i) { return candidate.load_block(i); },
            total - candidate.n_blocks(), total)};
    EvalReport report = eval::compare(context, measured, measured_reference, ids);
    report.model = options.model;
    report.text = options.text;
    emit_metrics(context, report);
    emit_memory_sample(context);
    return report;
}

} // namespace bitsmith
