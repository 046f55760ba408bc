// SPDX-License-Identifier: GPL-3.0-or-later
// `eval`: distance between two models on a text, or the perplexity of one.
#include "base/text.h"
#include "eval/divergence.h"
#include "run/runtime_model.h"
#include "run/stages.h"
#include "run/tune_stage.h"
#include "tensor/device.h"

#include <bitsmith/job.h>

namespace bitsmith {

namespace {

model::CausalLm open_measured(RunContext& context, const source::ModelSource& source)
{
    warn_about_runtime(context, source);
    model::CausalLm model = make_model(context, source, Purpose::Measuring);
    put_runtime_head(model, source);
    return model;
}

/// Runs its blocks as the first or last ones of `total`.
eval::Measured measured(RunContext& context, const model::CausalLm& model,
    const source::ModelSource& source, const at::Tensor& ids, int64_t done, int64_t total)
{
    return {&model,
        eval::run_blocks(
            context, model, ids, [&](int64_t i) { return load_runtime_block(model, source, i); },
            done, total)};
}

} // namespace

EvalReport evaluate(const EvalOptions& options, Observer& observer, RunControl control)
{
    EventEmitter emitter(observer);
    RunContext context{emitter, std::move(control), tensor::resolve_device(options.device), 0};
    tensor::set_up_cpu(options.threads);
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

    const model::CausalLm candidate = open_measured(context, *source);
    std::optional<model::CausalLm> reference;
    if (reference_source) {
        reference.emplace(open_measured(context, *reference_source));
    }
    const int64_t total = candidate.n_blocks() + (reference ? reference->n_blocks() : 0);
    eval::Measured measured_reference;
    if (reference) {
        measured_reference = measured(context, *reference, *reference_source, ids, 0, total);
    }
    const eval::Measured measured_candidate =
        measured(context, candidate, *source, ids, total - candidate.n_blocks(), total);
    EvalReport report = eval::compare(context, measured_candidate, measured_reference, ids);
    report.model = options.model;
    report.text = options.text;
    emit_metrics(context, report);
    emit_memory_sample(context);
    return report;
}

} // namespace bitsmith
