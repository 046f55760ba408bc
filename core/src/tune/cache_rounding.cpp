// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/cache_rounding.h"

#include "quant/cache_numbers.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitsmith::tune {

namespace {

class MaximaObserver final : public model::CacheTransform
{
public:
    void apply(at::Tensor& keys, at::Tensor& values) override
    {
        observe(maxima.keys, keys);
        observe(maxima.values, values);
    }

    quant::CacheMaxima maxima;

private:
    static void observe(at::Tensor& largest, const at::Tensor& x)
    {
        const at::Tensor own = x.abs().amax().to(at::kFloat).reshape({1});
        largest = largest.defined() ? at::maximum(largest, own) : own;
    }
};

class CacheRounding final : public model::CacheTransform
{
public:
    explicit CacheRounding(quant::CacheMaxima maxima)
        : maxima_(std::move(maxima))
    { }
    void apply(at::Tensor& keys, at::Tensor& values) override
    {
        keys = quant::fake_quantize_cache(keys, maxima_.keys);
        values = quant::fake_quantize_cache(values, maxima_.values);
    }

private:
    const quant::CacheMaxima maxima_;
};

void require_finite(const quant::CacheMaxima& maxima, int64_t block)
{
    if (!at::isfinite(at::cat({maxima.keys, maxima.values})).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "keys or values of a block are not finite",
            {{"block", std::to_string(block)}}, "Use --static-kv-dtype none");
    }
}

} // namespace

void set_cache(model::DecoderBlock& block, const quant::CacheMaxima& maxima)
{
    block.cache_transform = maxima.defined() ? std::make_shared<CacheRounding>(maxima) : nullptr;
}

quant::CacheMaxima round_cache(RunContext& context, model::DecoderBlock& block, CacheType type,
    const at::Tensor& chain, int64_t micro_batch,
    const std::function<void(const at::Tensor&)>& forward)
{
    if (type == CacheType::None) {
        return {};
    }
    const at::NoGradGuard no_grad;
    const auto observer = std::make_shared<MaximaObserver>();
    block.cache_transform = observer;
    for (int64_t first = 0; first < chain.size(0); first += micro_batch) {
        context.checkpoint();
        forward(chain.narrow(0, first, std::min(micro_batch, chain.size(0) - first)));
    }
    quant::CacheMaxima maxima = observer->maxima;
    if (maxima.defined()) {
        require_finite(maxima, block.index);
        maxima = {maxima.keys.cpu(), maxima.values.cpu()};
    }
    set_cache(block, maxima);
    return maxima;
}

} // namespace bitsmith::tune
