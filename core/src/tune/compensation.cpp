// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/compensation.h"

#include "quant/affine.h"
#include "quant/compensated.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <utility>

namespace bitsmith::tune {

namespace {

/// Share of the earlier error that a layer makes up for; 1 overshoots (lab.md 7.3).
constexpr double kCorrection = 0.5;
/// How far from where the next code begins steps start, in codes.
constexpr double kMargin = 0.25;

/// Ends a forward through a block whose remaining layers nobody wants to see.
struct SeenAll
{ };

/// Keeps the inputs of a layer, and computes with the weight given or, without one, as the quantized
/// layer does.
class InputHook final : public model::LinearHook
{
public:
    /// `missing`: counts down at the first inputs; SeenAll is thrown when it gets to 0. May be null.
    InputHook(at::Tensor original, std::size_t* missing)
        : original_(std::move(original))
        , missing_(missing)
    { }
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override
    {
        const at::Tensor seen = original_.defined() ? x : linear.transformed(x);
        const bool is_first = !inputs.defined();
        inputs = seen.flatten(0, -2);
        if (missing_ != nullptr && is_first && --*missing_ == 0) {
            throw SeenAll{};
        }
        outputs = at::linear(seen, original_.defined() ? original_ : linear.weight, linear.bias);
        return outputs;
    }

    at::Tensor inputs; ///< [tokens, in] of the last forward; undefined when it saw none
    at::Tensor outputs; ///< [..., out] of the last forward; undefined when it ended before

private:
    at::Tensor original_;
    std::size_t* missing_;
};

/// What a layer meets on one of the two paths.
struct Encounter
{
    at::Tensor inputs; ///< [tokens, in]; undefined: no token
    at::Tensor residual; ///< [tokens, out]: the stream its output is added to; undefined: unknown
};

/// Sum of Xᵀ Y over batches, which is symmetric: blocks below the diagonal are not computed.
class SymmetricSum
{
public:
    void add(const at::Tensor& x, const at::Tensor& y)
    {
        const int64_t size = x.size(1);
        if (!sum_.defined()) {
            sum_ = at::zeros({size, size}, x.options());
        }
        // Four rows of blocks: five eighths of the products.
        const int64_t step = (size + 3) / 4;
        for (int64_t first = 0; first < size; first += step) {
            const int64_t count = std::min(step, size - first), rest = size - first;
            sum_.narrow(0, first, count)
                .narrow(1, first, rest)
                .addmm_(x.narrow(1, first, count).t(), y.narrow(1, first, rest));
        }
    }
    /// Undefined when nothing was added.
    at::Tensor whole() const
    {
        return sum_.defined() ? sum_.triu() + sum_.triu(1).t() : at::Tensor();
    }

private:
    at::Tensor sum_; ///< fp32, valid on and above the diagonal
};

/// Within its scope oneDNN multiplies fp32 matrices on CPUs, and may round factors to bf16, which
/// inputs are that come in bf16; it adds up in fp32. It takes half of the time of the other library.
class ProductsOfBf16
{
public:
    explicit ProductsOfBf16(at::ScalarType inputs)
        : before_(at::globalContext().float32Precision(kBackend, kOp))
    {
        if (inputs == at::kBFloat16) {
            at::globalContext().setFloat32Precision(kBackend, kOp, at::Float32Precision::BF16);
        }
    }
    ~ProductsOfBf16() { at::globalContext().setFloat32Precision(kBackend, kOp, before_); }
    ProductsOfBf16(const ProductsOfBf16&) = delete;
    ProductsOfBf16& operator=(const ProductsOfBf16&) = delete;

private:
    static constexpr auto kBackend = at::Float32Backend::MKLDNN;
    static constexpr auto kOp = at::Float32Op::MATMUL;
    at::Float32Precision before_;
};

/// Moments of the inputs of one unit, batch by batch.
class MomentSums
{
public:
    /// `weight` of the layer, as it was.
    void add(const Encounter& original, const Encounter& quantized, const at::Tensor& weight,
        const at::Tensor& weights)
    {
        const at::Tensor seen = quantized.inputs.to(at::kFloat);
        const bool is_weighted = weights.defined() && weights.numel() == seen.size(0);
        const at::Tensor weighted =
            is_weighted ? seen * weights.to(seen.device(), at::kFloat).reshape({-1, 1}) : seen;
        hessian_.add(seen, weighted);
        // Experts may see other tokens on the two paths; then there is nothing to compare.
        const at::Tensor drift =
            original.inputs.defined() && original.inputs.sizes() == seen.sizes()
            ? original.inputs.to(at::kFloat) - seen
            : at::Tensor();
        if (quantized.residual.defined()) {
            // Where outputs are summed up anyway, what drift makes of them joins at less cost.
            at::Tensor lacking =
                original.residual.to(at::kFloat) - quantized.residual.to(at::kFloat);
            if (drift.defined()) {
                lacking.add_(at::linear(drift.to(weight.scalar_type()), weight));
            }
            accumulate(lacking_, lacking, weighted);
        } else if (drift.defined()) {
            accumulate(drift_, drift, weighted);
        }
    }
    quant::InputMoments moments() const { return {hessian_.whole(), drift_, lacking_}; }

private:
    static void accumulate(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right)
    {
        if (sum.defined()) {
            sum.addmm_(left.t(), right);
        } else {
            sum = at::mm(left.t(), right);
        }
    }
    SymmetricSum hessian_;
    at::Tensor drift_, lacking_;
};

/// Layers of one unit.
struct Stage
{
    std::vector<std::size_t> layers;
};

std::vector<Stage> stages_of(const std::vector<PlannedLinear>& layers)
{
    std::vector<Stage> stages;
    std::string unit;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const std::string& own = layers[i].unit;
        if (stages.empty() || own.empty() || own != unit) {
            stages.emplace_back();
        }
        unit = own;
        stages.back().layers.push_back(i);
    }
    return stages;
}

/// Whether two layers have the same moments: those of a layer whose residual stream is known hold its
/// own outputs.
bool is_same(const Encounter& a, const Encounter& b)
{
    return a.inputs.defined() && b.inputs.defined() && !a.residual.defined()
        && !b.residual.defined() && a.inputs.const_data_ptr() == b.inputs.const_data_ptr()
        && a.inputs.sizes() == b.inputs.sizes();
}

/// For each layer the first one with the same moments.
std::vector<std::size_t> leaders_of(const std::vector<Encounter>& layers)
{
    std::vector<std::size_t> leaders;
    for (std::size_t k = 0; k < layers.size(); ++k) {
        std::size_t leader = k;
        for (std::size_t i = 0; i < k; ++i) {
            if (is_same(layers[i], layers[k])) {
                leader = leaders[i];
                break;
            }
        }
        leaders.push_back(leader);
    }
    return leaders;
}

/// The residual streams of a forward, [tokens, hidden]; undefined where they are not known.
using Streams = std::map<model::AddedTo, at::Tensor>;

Streams streams_of(const at::Tensor& hidden, const std::vector<PlannedLinear>& layers,
    const std::deque<InputHook>& hooks)
{
    Streams streams{{model::AddedTo::Nothing, {}}, {model::AddedTo::Input, hidden.flatten(0, -2)},
        {model::AddedTo::AfterAttention, {}}};
    for (std::size_t i = 0; i < layers.size(); ++i) {
        if (layers[i].added_to == model::AddedTo::Input && hooks[i].outputs.defined()) {
            streams[model::AddedTo::AfterAttention] = (hidden + hooks[i].outputs).flatten(0, -2);
        }
    }
    return streams;
}

/// What the layers of a stage meet in one forward, which ends at the last of them. `weights`: of all
/// layers; none: the layers' own.
std::vector<Encounter> encounters(const CompensationTask& task,
    const std::vector<PlannedLinear>& layers, const std::vector<at::Tensor>& weights,
    const Stage& stage, const at::Tensor& hidden)
{
    std::size_t missing = stage.layers.size();
    std::deque<InputHook> hooks;
    std::deque<model::LinearHookScope> scopes;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const bool is_wanted = std::ranges::find(stage.layers, i) != stage.layers.end();
        hooks.emplace_back(
            weights.empty() ? at::Tensor() : weights[i], is_wanted ? &missing : nullptr);
        scopes.emplace_back(*layers[i].linear, hooks.back());
    }
    try {
        task.block.forward(hidden, task.shared);
    } catch (const SeenAll&) {
        // The usual end; a forward comes to its own where no token reached an expert of the stage.
    }
    const Streams streams = streams_of(hidden, layers, hooks);
    std::vector<Encounter> met;
    for (const std::size_t i : stage.layers) {
        met.push_back({hooks[i].inputs, streams.at(layers[i].added_to)});
    }
    return met;
}

/// What the layers meet on the original path. It is the same in all stages, so that one forward does
/// where that takes little memory.
class OriginalPath
{
public:
    /// `weights` of the layers, as they were. All outlive this.
    OriginalPath(const CompensationTask& task, const std::vector<PlannedLinear>& layers,
        const std::vector<at::Tensor>& weights)
        : task_(task)
        , layers_(layers)
        , weights_(weights)
    {
        int64_t features = 0;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            all_.layers.push_back(i);
            features += weights[i].size(1);
        }
        const at::Tensor& inputs = task.reference;
        is_kept_ = inputs.size(0) * inputs.size(1) * features * inputs.element_size()
            <= task.most_kept_bytes;
    }

    /// Of the batch of `count` samples that begins with sample `first`.
    std::vector<Encounter> encounters_of(const Stage& stage, int64_t first, int64_t count)
    {
        const auto forward = [&](const Stage& wanted) {
            const at::Tensor hidden = task_.reference.narrow(0, first, count).to(task_.device);
            return encounters(task_, layers_, weights_, wanted, hidden);
        };
        if (!is_kept_) {
            return forward(stage);
        }
        std::vector<Encounter>& all = kept_[first];
        if (all.empty()) {
            all = forward(all_);
        }
        std::vector<Encounter> met;
        for (const std::size_t i : stage.layers) {
            met.push_back(std::exchange(all[i], {})); // a layer is in one stage
        }
        return met;
    }

private:
    const CompensationTask& task_;
    const std::vector<PlannedLinear>& layers_;
    const std::vector<at::Tensor>& weights_;
    bool is_kept_ = false;
    Stage all_;
    std::map<int64_t, std::vector<Encounter>> kept_; ///< by batch, of all layers
};

/// Moments of a stage's layers, from forwards of both paths through the block as it is now.
std::vector<quant::InputMoments> measure(RunContext& context, const CompensationTask& task,
    const std::vector<PlannedLinear>& layers, const std::vector<at::Tensor>& originals,
    OriginalPath& path, const Stage& stage)
{
    std::vector<MomentSums> sums(stage.layers.size());
    std::vector<std::size_t> leaders;
    const int64_t samples = task.quantized.size(0) - task.holdout;
    for (int64_t first = 0; first < samples; first += task.micro_batch) {
        context.checkpoint();
        const int64_t count = std::min(task.micro_batch, samples - first);
        const std::vector<Encounter> original = path.encounters_of(stage, first, count);
        const std::vector<Encounter> seen = encounters(
            task, layers, {}, stage, task.quantized.narrow(0, first, count).to(task.device));
        const at::Tensor weights = task.position_weights.defined()
            ? task.position_weights.narrow(0, first, count).flatten()
            : at::Tensor();
        if (leaders.empty()) {
            leaders = leaders_of(seen);
        }
        const ProductsOfBf16 products(task.quantized.scalar_type());
        for (std::size_t k = 0; k < sums.size(); ++k) {
            if (leaders[k] == k && seen[k].inputs.defined()) {
                sums[k].add(original[k], seen[k], originals[stage.layers[k]], weights);
            }
        }
    }
    std::vector<quant::InputMoments> moments;
    for (const std::size_t leader : leaders) {
        moments.push_back(sums[leader].moments());
    }
    return moments;
}

/// A layer's codes, and the range that they are in.
struct Compensated
{
    quant::QuantizedWeight codes;
    quant::TunedValues start;
};

Compensated compensate(
    const PlannedLinear& layer, quant::TunedValues start, const quant::InputMoments& moments)
{
    const Scheme& scheme = layer.planned->scheme;
    const quant::Codec& codec = quant::codec_for(scheme);
    const at::Tensor original = layer.linear->weight;
    quant::check_weight(original, scheme, layer.linear->name);
    if (!moments.hessian.defined()) { // an expert that no token reached
        start.range = codec.search(original, scheme, {}, start.tensor_max);
        return {codec.encode(original.to(at::kFloat), scheme, start), start};
    }
    const at::Tensor target = quant::corrected_weight(original, moments, kCorrection);
    start.range = codec.search(target, scheme, moments.hessian.diagonal(), start.tensor_max);
    return {quant::compensated_encode(target, scheme, start, moments), start};
}

/// Calls done(i, compensated) for layer after layer, whose weight done replaces.
template <class Done>
void over_layers(RunContext& context, const CompensationTask& task,
    const std::vector<PlannedLinear>& layers, const std::vector<at::Tensor>& originals,
    const Done& done)
{
    OriginalPath path(task, layers, originals);
    for (const Stage& stage : stages_of(layers)) {
        const std::vector<quant::InputMoments> moments =
            measure(context, task, layers, originals, path, stage);
        for (std::size_t k = 0; k < stage.layers.size(); ++k) {
            context.checkpoint();
            const std::size_t i = stage.layers[k];
            done(i, compensate(layers[i], task.starts[i], moments[k]));
        }
    }
}

std::vector<at::Tensor> weights_of(const std::vector<PlannedLinear>& layers)
{
    std::vector<at::Tensor> weights;
    for (const PlannedLinear& layer : layers) {
        weights.push_back(layer.linear->weight);
    }
    return weights;
}

/// Smallest V with which `weight` [rows, columns] has these codes, integers, under their scales.
at::Tensor offsets_to(const quant::QuantizedWeight& codes, const at::Tensor& weight)
{
    const quant::CodeGrid grid = quant::codec_for(codes.scheme).code_grid(codes);
    BITSMITH_ASSERT(grid.elements == nullptr);
    const quant::GroupLayout layout(codes.scheme, weight.size(0), weight.size(1));
    const at::Tensor steps = at::where(grid.scale.unsqueeze(-1) == 0, 0.0,
        quant::affine_steps(
            layout.split(weight.to(at::kFloat)), {grid.scale, grid.zero, grid.minimum}));
    const at::Tensor numbers = layout.split(codes.codes.to(steps.device(), at::kFloat));
    const at::Tensor wanted = grid.zero.defined() ? numbers - grid.zero.unsqueeze(-1) : numbers;
    const double reach = 0.5 - kMargin, infinity = std::numeric_limits<double>::infinity();
    const at::Tensor low = (wanted - reach).masked_fill(numbers == 0, -infinity);
    const at::Tensor high = (wanted + reach).masked_fill(numbers == grid.last, infinity);
    return at::minimum(at::maximum(steps, low), high) - steps;
}

} // namespace

std::vector<FinishedLayer> compensate_layers(RunContext& context, const CompensationTask& task,
    const std::vector<PlannedLinear>& layers, std::vector<at::Tensor>& originals)
{
    const at::NoGradGuard no_grad;
    originals = weights_of(layers);
    std::vector<FinishedLayer> finished;
    over_layers(context, task, layers, originals, [&](std::size_t i, const Compensated& found) {
        finished.push_back(finish_layer(layers[i], originals[i], found.codes));
    });
    return finished;
}

std::vector<quant::TunedValues> compensated_starts(
    RunContext& context, const CompensationTask& task, const std::vector<PlannedLinear>& layers)
{
    const at::NoGradGuard no_grad;
    const std::vector<at::Tensor> originals = weights_of(layers);
    std::vector<quant::TunedValues> starts(layers.size());
    over_layers(context, task, layers, originals, [&](std::size_t i, const Compensated& found) {
        starts[i] = found.start;
        starts[i].v = offsets_to(found.codes, originals[i]);
        at::Tensor& weight = layers[i].linear->weight;
        weight = quant::codec_for(found.codes.scheme).decode(found.codes).to(weight.options());
    });
    for (std::size_t i = 0; i < layers.size(); ++i) {
        layers[i].linear->weight = originals[i];
    }
    return starts;
}

} // namespace bitsmith::tune
