// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/tune_stage.h"

#include "base/text.h"
#include "base/timing.h"
#include "model/block_stream.h"
#include "tensor/device.h"
#include "tune/cache_rounding.h"
#include "tune/layer_tuner.h"
#include "tune/quantized_linear.h"

#include <bitsmith/catalog.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>

namespace bitsmith {

namespace {

/// Rows of the activations that pass through a block together when chains are rebuilt.
constexpr int64_t kTokensPerBatch = 2048;

std::vector<at::Tensor> batches(const at::Tensor& samples)
{
    return samples.split(std::max<int64_t>(1, kTokensPerBatch / samples.size(1)), 0);
}

tune::BlockInputs first_inputs(RunContext& context, const TuneStage& stage)
{
    tune::BlockInputs inputs;
    if (stage.calibration == nullptr) {
        return inputs;
    }
    const at::Tensor& ids = stage.calibration->ids;
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : batches(ids)) {
        context.checkpoint();
        parts.push_back(stage.model.embed(part).cpu());
    }
    stage.model.release_embedding();
    inputs.reference = at::cat(parts, 0);
    inputs.quantized = inputs.reference;
    inputs.mask = stage.calibration->mask;
    inputs.holdout = stage.calibration->holdout;
    return inputs;
}

at::Tensor advance(RunContext& context, const model::DecoderBlock& block,
    const model::BlockShared& shared, const at::Tensor& inputs, const c10::Device& device)
{
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : batches(inputs)) {
        context.checkpoint();
        parts.push_back(block.forward(part.to(device), shared).cpu());
    }
    return at::cat(parts, 0);
}

/// Inputs of block `index` by running the blocks before it; needed when the run did not keep them.
tune::BlockInputs rebuild_inputs(RunContext& context, const TuneStage& stage, int64_t index)
{
    context.events.warn("rebuilt_inputs",
        concat("the inputs of block ", index,
            " were not kept and are rebuilt; the result may differ from an undisturbed run in the "
            "last digits"));
    tune::BlockInputs inputs = first_inputs(context, stage);
    const model::BlockShared shared = stage.model.shared(inputs.reference.size(1));
    const c10::Device device = stage.model.options().device();
    for (int64_t i = 0; i < index; ++i) {
        const auto quantized = load_quantized_block(stage.model, stage.folder, i);
        inputs.quantized = advance(context, *quantized, shared, inputs.quantized, device);
        const auto original = stage.model.load_block(i);
        inputs.reference = advance(context, *original, shared, inputs.reference, device);
        context.events.emit(StageProgress{Stage::Tune, i + 1, index, "inputs rebuilt"});
    }
    return inputs;
}

void replay_finished_blocks(RunContext& context, const TuneStage& stage, int64_t finished)
{
    for (int64_t i = 0; i < finished; ++i) {
        for (const LayerFinished& errors : stage.folder.block_errors(i)) {
            context.events.emit(errors);
        }
        if (i == stage.model.n_blocks()) {
            return; // the head: no block of its own
        }
        BlockFinished summary = stage.folder.block_summary(i);
        summary.resumed = true;
        context.events.emit(summary);
    }
}

tune::BlockInputs inputs_for(RunContext& context, const TuneStage& stage, int64_t index)
{
    if (index == 0 || stage.calibration == nullptr) {
        return first_inputs(context, stage);
    }
    auto kept = stage.folder.load_inputs(index);
    if (kept && kept->reference.size(0) == stage.calibration->ids.size(0)) {
        kept->mask = stage.calibration->mask;
        kept->holdout = stage.calibration->holdout;
        return std::move(*kept);
    }
    return rebuild_inputs(context, stage, index);
}

at::Tensor normed(RunContext& context, const model::CausalLm& model, at::Tensor hidden)
{
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : batches(hidden)) {
        context.checkpoint();
        parts.push_back(model.final_norm(part.to(model.options().device())).cpu());
    }
    return at::cat(parts, 0);
}

/// Whether every format of the job holds the plan with these layers as they are.
bool formats_hold_kept(const TuneStage& stage, const std::vector<std::string>& layers)
{
    Plan plan = stage.folder.plan();
    for (PlannedLayer& layer : plan.layers) {
        if (std::find(layers.begin(), layers.end(), layer.name) != layers.end()) {
            layer.scheme = keep_scheme();
        }
    }
    const std::vector<std::string>& formats = stage.spec.exports.formats;
    return std::all_of(formats.begin(), formats.end(),
        [&plan](const std::string& format) { return format_plan_refusal(format, plan).empty(); });
}

/// The output head on what the last block gives; published as the block behind the last one.
void tune_head(RunContext& context, const TuneStage& stage, tune::BlockInputs inputs)
{
    const int64_t index = stage.model.n_blocks();
    if (inputs.reference.defined()) {
        inputs.reference = normed(context, stage.model, std::move(inputs.reference));
        inputs.quantized = normed(context, stage.model, std::move(inputs.quantized));
        inputs.mask = stage.calibration->mask;
        inputs.holdout = stage.calibration->holdout;
    }
    model::Linear head = stage.model.load_head();
    const PlannedLayer* planned = stage.folder.plan().find(head.name);
    BITSMITH_ASSERT(planned != nullptr);
    tune::BlockResult result;
    result.summary.block = index;
    result.layers.push_back(tune::tune_layer(context, head, inputs, *planned, stage.spec.recipe));
    stage.model.tensors().check_unchanged();
    stage.folder.publish_block(index, result, false);
    emit_memory_sample(context);
}

/// The calibration without the windows that nothing is computed with; empty: all are, or there is none.
std::optional<calib::CalibrationSet> computed_windows(const TuneStage& stage)
{
    if (stage.calibration == nullptr) {
        return {};
    }
    calib::CalibrationSet set = *stage.calibration;
    const int64_t count = set.ids.size(0);
    const int64_t wanted =
        windows_computed(stage.spec.recipe, stage.folder.plan(), count, set.ids.size(1));
    if (wanted == count) {
        return {};
    }
    set.ids = set.ids.narrow(0, 0, wanted);
    set.mask = set.mask.narrow(0, 0, wanted);
    set.holdout = std::max<int64_t>(0, set.holdout - (count - wanted));
    return set;
}

} // namespace

void emit_memory_sample(RunContext& context)
{
    const c10::Device device = tensor::to_device(context.device);
    MemorySample sample{rss_bytes(), peak_rss_bytes(), 0, 0};
    if (!device.is_cpu()) {
        sample.device_bytes = tensor::device_bytes_used(device);
        sample.peak_device_bytes = tensor::device_bytes_peak(device);
    }
    context.events.emit(sample);
}

std::unique_ptr<model::DecoderBlock> load_quantized_block(
    const model::CausalLm& model, const quant::QuantizedStore& store, int64_t index)
{
    at::NoGradGuard no_grad;
    auto block = model.load_block(index);
    for (const model::BlockLinear& item : block->linears()) {
        if (store.contains(item.linear->name)) {
            tune::put_quantized(*item.linear, store.load(item.linear->name));
        }
    }
    const quant::NamedNorms norms = store.norms(index);
    for (const model::BlockNorm& item : block->norms()) {
        if (const auto changed = norms.find(item.name + ".weight"); changed != norms.end()) {
            item.norm->put_stored(changed->second);
        }
    }
    tune::set_cache(*block, store.cache(index));
    return block;
}

int64_t blocks_to_publish(const Plan& plan, int64_t n_blocks)
{
    return n_blocks + (quantizes_head(plan) ? 1 : 0);
}

void put_quantized_head(model::CausalLm& model, const quant::QuantizedStore& store)
{
    if (store.contains(model.head_name())) {
        model::Linear head = model.load_head();
        tune::put_quantized(head, store.load(model.head_name()));
        model.replace_head(std::move(head));
    }
}

void run_tune_stage(RunContext& context, const TuneStage& whole)
{
    at::NoGradGuard no_grad;
    const std::optional<calib::CalibrationSet> computed = computed_windows(whole);
    TuneStage stage = whole;
    stage.calibration = computed ? &*computed : whole.calibration;
    const int64_t blocks = stage.model.n_blocks();
    const int64_t total = blocks_to_publish(stage.folder.plan(), blocks);
    const int64_t finished = std::min(stage.folder.finished_blocks(), total);
    replay_finished_blocks(context, stage, finished);
    if (finished == total) {
        return;
    }
    tune::BlockInputs inputs = inputs_for(context, stage, finished);
    inputs.importance = stage.importance;
    inputs.may_keep = [&stage](const std::vector<std::string>& layers) {
        return formats_hold_kept(stage, layers);
    };
    const int64_t tokens = stage.calibration != nullptr ? stage.calibration->ids.size(1) : 1;
    const model::BlockShared shared = stage.model.shared(tokens);
    model::BlockStream stream(stage.model, finished);
    for (int64_t i = finished; i < blocks; ++i) {
        context.checkpoint();
        const auto block = stream.next();
        inputs.reuse = true;
        inputs.mask = stage.calibration != nullptr ? stage.calibration->mask : at::Tensor();
        if (stage.fisher != nullptr) {
            inputs.position_weights = stage.fisher->tokens[i];
            inputs.channel_weights = stage.fisher->channels[i];
        }
        tune::BlockResult result = tune::tune_block(
            context, *block, shared, inputs, stage.folder.plan(), stage.spec.recipe);
        stage.model.tensors().check_unchanged();
        const bool keep = stage.spec.runtime.keep_inputs && i + 1 < total;
        stage.folder.publish_block(i, result, keep);
        emit_memory_sample(context);
        inputs.reference = std::move(result.reference_outputs);
        inputs.quantized = std::move(result.quantized_outputs);
        context.control.block_finished();
    }
    if (total > blocks) {
        tune_head(context, stage, std::move(inputs));
    }
}

} // namespace bitsmith
