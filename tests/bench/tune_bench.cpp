// SPDX-License-Identifier: GPL-3.0-or-later
// Time of one tuning step against what cannot be avoided, on one block of a 135M-parameter model
// (hidden 576, inner 1536, 9 heads, 3 of keys and values; 8 samples of 256 tokens), in the element type that tuning
// computes in on this CPU.
//
// products  the matrix products of the step alone: y = x·Ŵᵀ, dŴ = dyᵀ·x for all layers, dx = dy·Ŵ
//           where the input needs a gradient (not for q, k, v)
// plain     forward and backward of the same block with its weights as ordinary leaves
// step      a whole step of the tuner: sampling, forward, loss, backward, update
// weights   quantize_ and step_ of all layers, the work that only quantization adds
// Prints medians in milliseconds as one JSON object, of wall time, or with "cpu" as second argument
// of the process's CPU time (for OMP_NUM_THREADS=1 on a machine that is busy with other things).
#include "base/context.h"
#include "model/attention.h"
#include "model/mlp.h"
#include "tensor/device.h"
#include "tune/tuning_loop.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <functional>

using namespace bitsmith;
using namespace bitsmith::tune;

namespace {

constexpr int64_t kHidden = 576, kInner = 1536, kHeads = 9, kKeyHeads = 3, kHeadDim = 64;
constexpr int64_t kBatch = 8, kTokens = 256, kSamples = 16;

bool g_cpu_time = false;

double now_in_ms()
{
    timespec now{};
    clock_gettime(g_cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

double median(std::vector<double> times)
{
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

double median_ms(int repeats, const std::function<void()>& work)
{
    work();
    std::vector<double> times;
    for (int i = 0; i < repeats; ++i) {
        const double start = now_in_ms();
        work();
        times.push_back(now_in_ms() - start);
    }
    return median(std::move(times));
}

/// Notes when each step was reported.
struct StepTimes : Observer
{
    void on_event(const Event&) override { times.push_back(now_in_ms()); }
    std::vector<double> times;
};

/// Pre-norm attention and gated MLP.
struct Block
{
    at::TensorOptions options = tensor::compute_type(c10::Device("cpu"));
    model::BlockShared shared{kTokens, 0, options};
    model::Norm norm{{}, at::ones({kHidden}, options), options.dtype().toScalarType()};
    model::Attention attention;
    model::Mlp mlp;
    std::vector<model::Linear*> layers; ///< in order of execution

    Block()
    {
        attention.spec.n_heads = kHeads;
        attention.spec.n_kv_heads = kKeyHeads;
        attention.spec.head_dim = attention.spec.value_dim = kHeadDim;
        attention.spec.scale = 1 / std::sqrt(double{kHeadDim});
        add(attention.q, "q", kHeads * kHeadDim, kHidden);
        add(attention.k, "k", kKeyHeads * kHeadDim, kHidden);
        add(attention.v, "v", kKeyHeads * kHeadDim, kHidden);
        add(attention.o, "o", kHidden, kHeads * kHeadDim);
        add(mlp.gate, "gate", kInner, kHidden);
        add(mlp.up, "up", kInner, kHidden);
        add(mlp.down, "down", kHidden, kInner);
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    at::Tensor forward(const at::Tensor& hidden) const
    {
        const at::Tensor middle =
            hidden + attention.forward(norm.forward(hidden), shared, nullptr, nullptr);
        return middle + mlp.forward(norm.forward(middle));
    }

private:
    void add(model::Linear& layer, const char* name, int64_t out, int64_t in)
    {
        layer = {name, at::randn({out, in}).mul_(0.05).to(options), {}};
        layers.push_back(&layer);
    }
};

double products_ms(const Block& block, int repeats)
{
    std::vector<std::function<void()>> products;
    for (const model::Linear* layer : block.layers) {
        const at::Tensor w = layer->weight;
        const at::Tensor x = at::randn({kBatch * kTokens, w.size(1)}).to(w.options());
        const at::Tensor g = at::randn({kBatch * kTokens, w.size(0)}).to(w.options());
        const bool needs_input = layer->name != "q" && layer->name != "k" && layer->name != "v";
        products.push_back([=] {
            at::mm(x, w.t());
            at::mm(g.t(), x);
            if (needs_input) {
                at::mm(g, w);
            }
        });
    }
    return median_ms(repeats, [&] {
        for (const auto& product : products) {
            product();
        }
    });
}

double plain_ms(Block& block, const at::Tensor& hidden, int repeats)
{
    for (model::Linear* layer : block.layers) {
        layer->weight = layer->weight.clone().requires_grad_();
    }
    const double result = median_ms(repeats, [&] {
        const at::Tensor output = block.forward(hidden);
        output.backward(output.detach());
    });
    for (model::Linear* layer : block.layers) {
        layer->weight = layer->weight.detach();
    }
    return result;
}

double step_ms(Block& block, const TuningTask& task, int repeats)
{
    StepTimes observer;
    EventEmitter emitter(observer);
    RunContext context{emitter, {}, "cpu", 42};
    Recipe recipe;
    recipe.iters = repeats + 1;
    recipe.selection = Selection::Last;
    std::deque<model::LinearHookScope> hooks;
    for (std::size_t i = 0; i < task.weights.size(); ++i) {
        hooks.emplace_back(*block.layers[i], *task.weights[i]);
    }
    run_tuning(context, task, recipe);
    std::vector<double> differences;
    for (std::size_t i = 1; i < observer.times.size(); ++i) {
        differences.push_back(observer.times[i] - observer.times[i - 1]);
    }
    return median(std::move(differences));
}

double weights_ms(Block& block, int64_t bits, int64_t group, int repeats)
{
    Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = group;
    std::deque<AffineState> states;
    for (const model::Linear* layer : block.layers) {
        states.emplace_back(layer->weight.to(at::kFloat), scheme);
        states.back().gradient = at::randn(layer->weight.sizes());
    }
    return median_ms(repeats, [&] {
        for (AffineState& state : states) {
            quantize_(state);
            step_(state, {1e-3, 1e-3});
        }
    });
}

} // namespace

int main(int argc, char** argv)
{
    const int repeats = argc > 1 ? std::atoi(argv[1]) : 10;
    if (repeats < 1) {
        std::fprintf(stderr, "usage: tune_bench [repeats] [cpu]\n");
        return 2;
    }
    g_cpu_time = argc > 2 && std::strcmp(argv[2], "cpu") == 0;
    tensor::set_up_cpu(at::get_num_threads());
    at::manual_seed(1);
    Block block;
    const at::Tensor inputs = at::randn({kSamples, kTokens, kHidden}).to(block.options);
    at::Tensor targets;
    {
        const at::NoGradGuard no_grad;
        targets = block.forward(inputs);
    }
    Scheme scheme;
    scheme.group_size = 64;
    std::deque<FusedWeight> weights;
    TuningTask task;
    for (model::Linear* layer : block.layers) {
        weights.emplace_back(*layer, scheme);
        task.weights.push_back(&weights.back());
    }
    task.forward = [&](const at::Tensor& hidden) { return block.forward(hidden); };
    task.target = [&](const at::Tensor& samples) { return targets.index_select(0, samples); };
    task.inputs = inputs;
    task.micro_batch = kBatch;
    task.global_batch = kBatch;

    nlohmann::ordered_json result;
    result["threads"] = at::get_num_threads();
    result["repeats"] = repeats;
    result["type"] = at::toString(block.options.dtype().toScalarType());
    result["clock"] = g_cpu_time ? "cpu" : "wall";
    const double products = products_ms(block, repeats);
    const double plain = plain_ms(block, inputs.narrow(0, 0, kBatch), repeats);
    const double step = step_ms(block, task, repeats);
    const double weight_work = weights_ms(block, 4, 64, repeats);
    result["products_ms"] = products;
    result["plain_ms"] = plain;
    result["step_ms"] = step;
    result["weights_ms"] = weight_work;
    result["weights_share_of_step"] = weight_work / step;
    result["step_over_plain"] = step / plain;
    result["step_over_products"] = step / products;
    std::printf("%s\n", result.dump(2).c_str());
    return 0;
}
