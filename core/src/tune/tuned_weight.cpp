// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/tuned_weight.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

namespace {

at::Tensor checked(const at::Tensor& weight, const Scheme& scheme, std::string_view layer)
{
    quant::codec_for(scheme); // refuses schemes that have none
    quant::check_weight(weight, scheme, layer);
    const at::ScalarType type = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    return weight.detach().to(type).contiguous();
}

void copy_values(at::Tensor& to, const at::Tensor& from)
{
    if (to.defined()) {
        to.copy_(from);
    } else {
        to = from.clone();
    }
}

} // namespace

TunedWeight::TunedWeight(const at::Tensor& weight, const Scheme& scheme, std::string_view layer,
    const quant::TunedValues& start)
    : start_(start.v)
    , state_(checked(weight, scheme, layer), scheme, start)
{ }

const at::Tensor& TunedWeight::values()
{
    if (is_stale_) {
        const at::NoGradGuard no_grad;
        quantize_(state_);
        is_stale_ = false;
        converted_.reset();
    }
    return state_.values;
}

const at::Tensor& TunedWeight::values(at::ScalarType type)
{
    const at::Tensor& own = values();
    if (own.scalar_type() == type) {
        return own;
    }
    if (!converted_.defined() || converted_.scalar_type() != type) {
        converted_ = own.to(type);
    }
    return converted_;
}

void TunedWeight::add_gradient(const at::Tensor& output_gradient, const at::Tensor& input)
{
    const at::NoGradGuard no_grad;
    at::Tensor& gradient = state_.gradient;
    if (!gradient.defined()) {
        gradient = at::empty_like(state_.weight);
    }
    const bool same_type = input.scalar_type() == gradient.scalar_type()
        && output_gradient.scalar_type() == gradient.scalar_type();
    if (!same_type) {
        // Products in 16 bits give 16 bits; only their sum over batches is kept in fp32.
        const at::Tensor product = at::mm(output_gradient.t(), input);
        has_gradient_ ? gradient.add_(product) : gradient.copy_(product);
    } else if (has_gradient_) {
        gradient.addmm_(output_gradient.t(), input);
    } else {
        at::mm_out(gradient, output_gradient.t(), input);
    }
    has_gradient_ = true;
}

void TunedWeight::step(const StepSizes& sizes)
{
    if (!has_gradient_) {
        return;
    }
    const at::NoGradGuard no_grad;
    values(); // scale and offset of these tuned values
    step_(state_, sizes);
    has_gradient_ = false;
    is_stale_ = true;
}

void TunedWeight::save(quant::TunedValues& copy) const
{
    copy_values(copy.v, state_.tuned.v);
    copy_values(copy.min_scale, state_.tuned.min_scale);
    copy_values(copy.max_scale, state_.tuned.max_scale);
}

void TunedWeight::restore(const quant::TunedValues& saved)
{
    if (saved.v.defined()) {
        state_.tuned.v.copy_(saved.v);
        state_.tuned.min_scale.copy_(saved.min_scale);
        state_.tuned.max_scale.copy_(saved.max_scale);
    } else {
        start_.defined() ? state_.tuned.v.copy_(start_) : state_.tuned.v.zero_();
        state_.tuned.min_scale.fill_(1);
        state_.tuned.max_scale.fill_(1);
    }
    is_stale_ = true;
}

quant::QuantizedWeight TunedWeight::freeze() const
{
    return quant::codec_for(state_.scheme).encode(state_.weight, state_.scheme, state_.tuned);
}

} // namespace bitsmith::tune
