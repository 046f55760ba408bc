// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/quantized_linear.h"

#include "quant/activations.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

namespace {

class RoundedInput final : public model::InputTransform
{
public:
    RoundedInput(const Scheme& scheme, at::Tensor input_max)
        : scheme_(scheme)
        , input_max_(std::move(input_max))
    { }
    at::Tensor apply(const at::Tensor& x) const override
    {
        return quant::fake_quantize_activations(x, scheme_, input_max_);
    }

private:
    const Scheme scheme_;
    const at::Tensor input_max_;
};

} // namespace

void set_activations(model::Linear& linear, const Scheme& scheme, const at::Tensor& input_max)
{
    linear.input_transform.reset();
    if (scheme.quantizes_activations()) {
        linear.input_transform = std::make_shared<RoundedInput>(scheme, input_max);
    }
}

void put_quantized(model::Linear& linear, const quant::QuantizedWeight& weight)
{
    const at::NoGradGuard no_grad;
    linear.weight = quant::codec_for(weight.scheme).decode(weight).to(linear.weight.options());
    set_activations(linear, weight.scheme, weight.input_max);
}

at::Tensor InputMaxHook::forward(const model::Linear& linear, const at::Tensor& x)
{
    if (x.numel() > 0) {
        const at::NoGradGuard no_grad;
        const at::Tensor largest = x.abs().amax().to(at::kFloat).reshape({1});
        largest_ = largest_.defined() ? at::maximum(largest_, largest) : largest;
    }
    return linear.product(x, linear.weight);
}

} // namespace bitsmith::tune
