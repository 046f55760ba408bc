// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/squared_error.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitsmith::tune {

namespace {

/// The (k + 1)-th largest of `values` [n], k < n; not by sorting. NaN counts as the largest.
at::Tensor largest_after(const at::Tensor& values, int64_t k)
{
    if (values.is_cuda()) {
        // kthvalue gives a row to one group of threads there.
        return std::get<0>(values.topk(k + 1)).select(0, k);
    }
    return std::get<0>(values.kthvalue(values.size(0) - k));
}

/// Which of the errors are no outliers, bool [samples, tokens, hidden].
at::Tensor within_bounds(const at::Tensor& errors, const Outliers& outliers)
{
    const at::Tensor rows = errors.reshape({outliers.per_sample ? errors.size(0) : 1, -1});
    const int64_t count = rows.size(1);
    const auto share = static_cast<int64_t>(outliers.fraction * static_cast<double>(count));
    const int64_t left_out = std::min(std::max<int64_t>(share, 1), count - 1);
    at::Tensor within = at::empty(rows.sizes(), rows.options().dtype(at::kBool));
    for (int64_t i = 0; i < rows.size(0); ++i) {
        at::Tensor row = within[i];
        at::le_out(row, rows[i], largest_after(rows[i], left_out));
    }
    return within.view(errors.sizes());
}

} // namespace

Outliers outliers_of(const Recipe& recipe)
{
    return {recipe.outlier_fraction, !recipe.mimic_reference};
}

SquaredError::SquaredError(const at::Tensor& prediction, const at::Tensor& target,
    const at::Tensor& weights, const Outliers& outliers, const at::Tensor& channels)
{
    const at::NoGradGuard no_grad;
    const at::ScalarType type = prediction.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    difference = at::sub(prediction.detach().to(type), target.to(prediction.device(), type));
    at::Tensor weighted = weights.defined()
        ? difference * weights.to(prediction.device(), type).unsqueeze(-1)
        : difference;
    if (channels.defined()) {
        weighted = weighted * channels.to(prediction.device(), type);
    }
    if (outliers.fraction > 0) {
        // A product, so that what is not finite becomes NaN and is seen.
        weighted.mul_(within_bounds(difference * weighted, outliers));
    }
    sum = at::dot(difference.reshape({-1}), weighted.reshape({-1})).item<double>();
    difference = weighted;
}

double counted_elements(const at::Tensor& weights, int64_t hidden)
{
    return weights.sum(weights.scalar_type() == at::kBool ? at::kLong : at::kDouble).item<double>()
        * static_cast<double>(hidden);
}

} // namespace bitsmith::tune
