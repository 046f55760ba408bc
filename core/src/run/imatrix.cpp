// SPDX-License-Identifier: GPL-3.0-or-later
// `imatrix`: what the input columns of each layer of a model carry on a text, as llama-imatrix
// measures it; and the use of such a file in a job.
#include "run/imatrix.h"

#include "base/json_io.h"
#include "base/text.h"
#include "base/timing.h"
#include "calib/imatrix.h"
#include "model/block_stream.h"
#include "run/stages.h"
#include "run/tune_stage.h"
#include "tensor/device.h"
#include "tune/input_importance.h"
#include "tune/numeric_check.h"

#include <bitsmith/job.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <deque>

namespace bitsmith {

namespace {

namespace fs = std::filesystem;

/// Batches of windows on their way through the blocks.
struct Batches
{
    std::vector<at::Tensor> hidden; ///< [windows, tokens, hidden], on the CPU
    std::vector<at::Tensor> counted; ///< fp32 [windows, tokens]: 0 for padding, 1 for the rest
};

struct Measured
{
    std::map<std::string, calib::InputSquares> layers;
    int64_t unreached = 0; ///< layers that no token went through
};

void check_output(const fs::path& output)
{
    if (fs::exists(output)) {
        fail(ErrorCode::InvalidSpec, "the output exists",
            {{"field", "output"}, {"found", output.string()}},
            "Choose another name, or remove the file.");
    }
    if (!fs::is_directory(fs::absolute(output).parent_path())) {
        fail(ErrorCode::FileNotFound, "there is no folder for the output",
            {{"field", "output"}, {"found", output.string()}}, "Create it first.");
    }
}

/// The calibration that the windows are taken from; nothing is held out.
JobSpec spec_of(const ImatrixOptions& options)
{
    JobSpec spec;
    spec.model.path = options.model;
    spec.recipe.nsamples = options.nsamples;
    spec.recipe.seqlen = options.seqlen;
    spec.calibration.dataset = options.dataset;
    spec.calibration.holdout = 0;
    return spec;
}

calib::CalibrationSet read_windows(
    RunContext& context, const JobSpec& spec, const source::ModelSource& source)
{
    const model::CausalLm model = make_model(context, source, Purpose::Tuning);
    calib::CalibrationSet set =
        calib::build_calibration_set(context, spec, source, make_sampler(context, model, source));
    for (const std::string& warning : set.warnings) {
        context.events.warn("calibration", warning);
    }
    release_free_memory();
    return set;
}

/// The mask of a calibration leaves the last position out, which predicts nothing. It is padding
/// where the one before is.
at::Tensor without_padding(const at::Tensor& mask)
{
    at::Tensor counted = mask.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    const int64_t last = counted.size(1) - 1;
    counted.select(1, last).copy_(counted.select(1, std::max<int64_t>(last - 1, 0)));
    return counted;
}

/// Sums over all batches, which become the outputs of the block.
void measure_block(RunContext& context, model::DecoderBlock& block,
    const model::BlockShared& shared, const c10::Device& device, Batches& batches, Measured& found)
{
    std::deque<std::pair<std::string, tune::InputImportanceHook>> sums;
    std::deque<model::LinearHookScope> hooks;
    for (const model::BlockLinear& entry : block.linears()) {
        if (entry.quantizable) {
            sums.emplace_back(entry.linear->name, tune::InputImportanceHook());
            hooks.emplace_back(*entry.linear, sums.back().second);
        }
    }
    for (std::size_t i = 0; i < batches.hidden.size(); ++i) {
        context.checkpoint();
        for (auto& [layer, hook] : sums) {
            hook.set_token_weights(batches.counted[i]);
        }
        batches.hidden[i] = block.forward(batches.hidden[i].to(device), shared).cpu();
    }
    for (const auto& [layer, hook] : sums) {
        if (!hook.importance().defined()) {
            ++found.unreached;
            continue;
        }
        tune::require_finite(hook.importance(), "squared inputs of " + layer);
        found.layers[layer] = {hook.importance().cpu(), at::full({1}, hook.weight(), at::kFloat)};
    }
}

Measured measure(RunContext& context, const model::CausalLm& model, const at::Tensor& windows,
    const at::Tensor& counted, int64_t batch_size)
{
    const at::NoGradGuard no_grad;
    Batches batches;
    batches.counted = counted.split(batch_size, 0);
    for (const at::Tensor& ids : windows.split(batch_size, 0)) {
        context.checkpoint();
        batches.hidden.push_back(model.embed(ids).cpu());
    }
    model.release_embedding();
    const model::BlockShared shared = model.shared(windows.size(1));
    model::BlockStream stream(model, 0);
    Measured found;
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        const auto block = stream.next();
        measure_block(context, *block, shared, model.options().device(), batches, found);
        context.events.emit(StageProgress{Stage::Calibrate, i + 1, model.n_blocks(), "blocks"});
    }
    return found;
}

std::shared_ptr<const source::ModelSource> open(RunContext& context, const std::string& model)
{
    const StageScope stage(context, Stage::Load, model);
    auto source = source::open_model(model);
    for (const std::string& warning : source->info.warnings) {
        context.events.warn("model", warning);
    }
    calib::imatrix_of({}, *source); // a family without names is refused before the work
    return source;
}

} // namespace

ImatrixReport write_importance(
    const ImatrixOptions& options, Observer& observer, RunControl control)
{
    check_output(options.output);
    const JobSpec spec = spec_of(options);
    EventEmitter emitter(observer);
    RunContext context{emitter, std::move(control), tensor::resolve_device(options.device),
        static_cast<uint64_t>(spec.runtime.seed)};
    tensor::set_up_cpu(options.threads);
    const auto source = open(context, options.model);

    const StageScope stage(context, Stage::Calibrate, options.dataset);
    const calib::CalibrationSet set = read_windows(context, spec, *source);
    const model::CausalLm model = make_model(context, *source, Purpose::Measuring);
    const at::Tensor counted = without_padding(set.mask);
    const Measured found = measure(context, model, set.ids, counted, options.batch_size);
    if (found.unreached > 0) {
        context.events.warn("imatrix",
            concat(found.unreached, " of ", found.layers.size() + std::size_t(found.unreached),
                " layers saw no token; more text may reach them"));
    }
    source->tensors->check_unchanged();
    calib::Imatrix imatrix = calib::imatrix_of(found.layers, *source);
    imatrix.datasets = set.sources;
    imatrix.chunks = set.ids.size(0);
    imatrix.chunk_tokens = set.ids.size(1);
    calib::write_imatrix(disk(), options.output, imatrix);
    emit_memory_sample(context);
    return {options.model, options.output.string(),
        static_cast<int64_t>(fs::file_size(options.output)),
        static_cast<int64_t>(found.layers.size()), found.unreached, set.ids.size(0),
        counted.count_nonzero().item<int64_t>()};
}

std::string document(const ImatrixReport& report)
{
    const Json json = {{"model", report.model}, {"path", report.path}, {"bytes", report.bytes},
        {"layers", report.layers}, {"unreached", report.unreached}, {"windows", report.windows},
        {"tokens", report.tokens}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::map<std::string, at::Tensor> read_importance(
    RunContext& context, const JobSpec& spec, const source::ModelSource& model, const Plan& plan)
{
    if (spec.calibration.imatrix.empty() || spec.recipe.start != Start::Search) {
        return {};
    }
    auto importance = calib::layer_importance(calib::read_imatrix(spec.calibration.imatrix), model);
    std::vector<std::string> unknown;
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.scheme.is_quantized() && !importance.contains(layer.name)) {
            unknown.push_back(layer.name);
        }
    }
    if (!unknown.empty()) {
        context.events.warn("imatrix",
            concat("the importance matrix does not know ", unknown.size(),
                " of the layers to quantize, the first is ", unknown.front(), "; there ",
                spec.recipe.uses_calibration() ? "the calibration inputs weigh the search"
                                               : "all input columns weigh the same"));
    }
    return importance;
}

} // namespace bitsmith
