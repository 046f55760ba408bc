// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/numeric_check.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <deque>

namespace bitsmith::tune {

namespace {

/// While set on its layer: computes the output as usual and notes the first bad tensor.
class FiniteHook final : public model::LinearHook
{
public:
    /// `before`: the layer computed last, over all hooks.
    FiniteHook(NotFinite& found, std::string& before)
        : found_(found)
        , before_(before)
    { }
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override
    {
        at::Tensor y = linear.product(x, linear.weight);
        if (found_.tensor.empty() && !std::isfinite(largest_magnitude(x))) {
            found_ = {"input of " + linear.name, before_};
        } else if (found_.tensor.empty() && !std::isfinite(largest_magnitude(y))) {
            found_ = {"output of " + linear.name, linear.name};
        }
        before_ = linear.name;
        return y;
    }

private:
    NotFinite& found_;
    std::string& before_;
};

} // namespace

double largest_magnitude(const at::Tensor& x)
{
    if (x.numel() == 0) {
        return 0;
    }
    const auto [low, high] = x.detach().aminmax(); // lets NaN through
    return std::isnan(low.item<double>())
        ? low.item<double>()
        : std::max(std::abs(low.item<double>()), std::abs(high.item<double>()));
}

double require_finite(const at::Tensor& x, const std::string& name)
{
    const double largest = largest_magnitude(x);
    if (std::isfinite(largest)) {
        return largest;
    }
    const int64_t bad = x.isfinite().logical_not_().sum().item<int64_t>();
    fail(ErrorCode::NumericFailure,
        "a tensor that tuning starts from has values that are not finite",
        {{"tensor", name},
            {"found", std::to_string(bad) + " of " + std::to_string(x.numel()) + " values"}},
        "the model may overflow on this calibration text; check its files, or take other text");
}

NotFinite first_not_finite(model::DecoderBlock& block, const std::function<void()>& forward)
{
    const at::NoGradGuard no_grad;
    NotFinite found;
    std::string before;
    FiniteHook hook(found, before);
    std::deque<model::LinearHookScope> scopes;
    for (const model::BlockLinear& entry : block.linears()) {
        scopes.emplace_back(*entry.linear, hook);
    }
    forward();
    return found.tensor.empty() ? NotFinite{"output of the block", {}} : found;
}

} // namespace bitsmith::tune
