// SPDX-License-Identifier: GPL-3.0-or-later
// Memory and disk of a job, from headers alone. Memory is counted as the tuner works (ui.md 5.8):
// activations of all samples, two blocks, tuned values of one block, working space of one batch.
#include <bitsmith/check.h>

#include <algorithm>
#include <map>

namespace bitsmith {

namespace {

constexpr double kFloat = 4;
constexpr double kStored = 2; ///< tensors that are not quantized are exported in 16 bits
/// LibTorch's code and buffers, tokenizer, allocator slack.
constexpr double kProcess = 350e6;

double weights(const PlannedLayer& layer)
{
    return static_cast<double>(layer.rows) * static_cast<double>(layer.columns);
}

struct BlockSize
{
    double weights = 0;
    double tuned = 0; ///< of layers that are quantized
    double features = 0; ///< inputs and outputs of all layers, per token
    double inputs = 0; ///< of layers that are quantized, per token
};

BlockSize largest_block(const Plan& plan)
{
    std::map<int64_t, BlockSize> blocks;
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.block_index >= 0) {
            BlockSize& block = blocks[layer.block_index];
            block.weights += weights(layer);
            block.tuned += layer.scheme.is_quantized() ? weights(layer) : 0;
            block.features += static_cast<double>(layer.rows + layer.columns);
            block.inputs += layer.scheme.is_quantized() ? static_cast<double>(layer.columns) : 0;
        }
    }
    BlockSize largest;
    for (const auto& [index, block] : blocks) {
        largest.weights = std::max(largest.weights, block.weights);
        largest.tuned = std::max(largest.tuned, block.tuned);
        largest.features = std::max(largest.features, block.features);
        largest.inputs = std::max(largest.inputs, block.inputs);
    }
    return largest;
}

/// One chain of hidden states over all samples that are computed with.
double activation_bytes(const JobSpec& spec, const ModelInfo& model, const Plan& plan)
{
    const int64_t tokens = std::max<int64_t>(spec.recipe.seqlen, 1);
    const int64_t samples = windows_computed(spec.recipe, plan, spec.recipe.nsamples, tokens);
    return static_cast<double>(samples) * static_cast<double>(tokens)
        * static_cast<double>(model.hidden_size) * kFloat;
}

/// What compensated rounding keeps of the original path's inputs, if that is little.
double kept_inputs(const JobSpec& spec, const BlockSize& block)
{
    const double bytes = static_cast<double>(spec.recipe.nsamples)
        * static_cast<double>(spec.recipe.seqlen) * block.inputs * kStored;
    return spec.recipe.start == Start::Compensated && bytes <= double{kMostKeptBytes} ? bytes : 0;
}

double tuning_bytes(const JobSpec& spec, const BlockSize& block)
{
    const double kept = kept_inputs(spec, block);
    if (spec.recipe.iters == 0) {
        return block.tuned * kFloat * 2 + kept; // rounded weight and codes
    }
    // Rounding offsets, their best copy, fake-quantized weight and its gradient.
    const double values = block.tuned * kFloat * 4;
    const double tokens = static_cast<double>(std::min(
                              spec.recipe.batch_size, std::max<int64_t>(spec.recipe.nsamples, 1)))
        * static_cast<double>(spec.recipe.seqlen);
    return kept + values + tokens * block.features * kFloat * 2; // outputs and their gradients
}

double evaluation_bytes(const JobSpec& spec, const ModelInfo& model)
{
    if (spec.evaluation.metrics.empty()) {
        return 0;
    }
    const auto vocabulary = static_cast<double>(model.vocab_size);
    return vocabulary * kFloat
        * (static_cast<double>(model.hidden_size)
            + 3 * static_cast<double>(spec.evaluation.seqlen));
}

double quantized_bytes(const Plan& plan)
{
    double bytes = 0;
    for (const PlannedLayer& layer : plan.layers) {
        bytes += weights(layer) * effective_bits(layer.scheme, layer.columns) / 8;
    }
    return bytes;
}

} // namespace

Estimate estimate(const JobSpec& spec, const ModelInfo& model, const Plan& plan)
{
    const BlockSize block = largest_block(plan);
    const double chain = activation_bytes(spec, model, plan);
    const double chains = spec.recipe.enable_quanted_input ? 4 : 3; // inputs and outputs
    const double work = block.weights * kFloat * 2 + tuning_bytes(spec, block);
    const bool on_cpu = spec.runtime.device == "cpu" || spec.runtime.device == "auto";
    const double host = kProcess
        + std::max(chain * chains + (on_cpu ? work : block.weights * kFloat * 2),
            evaluation_bytes(spec, model));

    double planned = 0, codes = 0;
    for (const PlannedLayer& layer : plan.layers) {
        planned += weights(layer);
        codes += layer.scheme.is_quantized() ? weights(layer) : 0;
    }
    const double rest = std::max(0.0, static_cast<double>(model.parameters) - planned) * kStored;

    Estimate result;
    result.peak_host_bytes = static_cast<int64_t>(host);
    result.peak_device_bytes = on_cpu ? 0 : static_cast<int64_t>(work);
    // Codes lie unpacked, one byte each, with 3 bytes per group; two generations of inputs.
    result.run_folder_bytes = static_cast<int64_t>(
        codes * (1 + 3.0 / 32) + (spec.runtime.keep_inputs ? chain * chains : 0));
    result.export_bytes = static_cast<int64_t>(quantized_bytes(plan) + rest)
        * static_cast<int64_t>(spec.exports.formats.size());
    result.average_bits = average_bits(plan);
    return result;
}

} // namespace bitsmith
