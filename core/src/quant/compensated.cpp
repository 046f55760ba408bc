// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/compensated.h"

#include "quant/affine.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace bitsmith::quant {

namespace {

constexpr double kDamping = 0.01; ///< of the mean diagonal
constexpr int64_t kBlockColumns = 96; ///< updated one by one before the rest is, by one product
constexpr int kMostDampings = 6;

double mean_diagonal(const at::Tensor& hessian)
{
    const auto mean = hessian.diagonal().mean().item<double>();
    if (!std::isfinite(mean)) {
        fail(ErrorCode::NumericFailure, "the second moments of a layer's inputs are not finite", {},
            "the original block may overflow on this calibration text");
    }
    return std::max(mean, 1e-30);
}

/// Lower Cholesky factor of H + λI, with more damping where H is too close to singular.
at::Tensor damped_factor(const at::Tensor& hessian)
{
    double damping = kDamping * mean_diagonal(hessian);
    for (int i = 0; i < kMostDampings; ++i, damping *= 10) {
        at::Tensor damped = hessian.clone();
        damped.diagonal().add_(damping);
        const auto [factor, info] = at::linalg_cholesky_ex(damped);
        if (info.item<int64_t>() == 0) {
            return factor;
        }
    }
    fail(ErrorCode::NumericFailure, "the second moments of a layer's inputs cannot be factored");
}

/// Scale and offset of every column [rows, columns] from those of the groups.
at::Tensor per_column(const at::Tensor& per_group, int64_t width, int64_t columns)
{
    return per_group.defined() ? per_group.repeat_interleave(width, 1).narrow(1, 0, columns)
                               : per_group;
}

/// Grid of one column, [rows].
struct ColumnGrid
{
    at::Tensor scale, zero, minimum;

    /// Codes and values of a column.
    std::pair<at::Tensor, at::Tensor> round(const at::Tensor& column, double last) const
    {
        at::Tensor steps = (minimum.defined() ? column - minimum : column).div(scale).round_();
        if (zero.defined()) {
            steps.add_(zero);
        }
        steps.clamp_(0, last);
        const at::Tensor value =
            minimum.defined() ? steps * scale + minimum : (steps - zero) * scale;
        return {steps, value};
    }
};

} // namespace

at::Tensor corrected_weight(
    const at::Tensor& weight, const InputMoments& moments, double correction)
{
    const at::NoGradGuard no_grad;
    const at::Tensor original = weight.to(at::kFloat);
    if (!moments.drift.defined() || correction == 0) {
        return original;
    }
    // X (H + λI) = W·drift, solved from the transposed side.
    const at::Tensor right = at::mm(original, moments.drift).t();
    const at::Tensor change =
        at::cholesky_solve(right.contiguous(), damped_factor(moments.hessian)).t();
    return original + change * correction;
}

QuantizedWeight compensated_encode(const at::Tensor& weight, const Scheme& scheme,
    const GroupRange& range, const InputMoments& moments)
{
    const at::NoGradGuard no_grad;
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    BITSMITH_ASSERT(!layout.per_tensor);
    const at::Tensor original = weight.to(at::kFloat);
    const AffineParameters parameters = affine_parameters(
        range.min.defined() ? range : group_range(layout.split(original)), scheme, {});

    const at::Tensor order = moments.hessian.diagonal().argsort(0, /*descending=*/true);
    const auto ordered = [&](const at::Tensor& columns) {
        return columns.defined()
            ? per_column(columns, layout.width, layout.columns).index_select(1, order).contiguous()
            : columns;
    };
    const at::Tensor scale = ordered(parameters.scale), zero = ordered(parameters.zero),
                     minimum = ordered(parameters.minimum);
    const at::Tensor hessian = moments.hessian.index_select(0, order).index_select(1, order);
    const at::Tensor factor =
        at::linalg_cholesky(at::cholesky_inverse(damped_factor(hessian)), /*upper=*/true);

    // Columns become rows, so that a step works on contiguous memory.
    at::Tensor rest = original.index_select(1, order).t().contiguous();
    at::Tensor codes = at::empty_like(rest);
    const auto column = [](const at::Tensor& all, int64_t j) {
        return all.defined() ? all.select(1, j) : all;
    };
    const double last = std::ldexp(1.0, static_cast<int>(scheme.bits)) - 1;
    for (int64_t begin = 0; begin < layout.columns; begin += kBlockColumns) {
        const int64_t count = std::min(kBlockColumns, layout.columns - begin);
        at::Tensor errors = at::empty({count, layout.rows}, rest.options());
        at::Tensor block = rest.narrow(0, begin, count);
        for (int64_t i = 0; i < count; ++i) {
            const int64_t j = begin + i;
            const ColumnGrid grid{column(scale, j), column(zero, j), column(minimum, j)};
            const auto [code, value] = grid.round(block[i], last);
            codes[j].copy_(code);
            errors[i].copy_((block[i] - value).div_(factor[j][j]));
            if (i + 1 < count) {
                block.narrow(0, i + 1, count - i - 1)
                    .addr_(factor[j].narrow(0, j + 1, count - i - 1), errors[i], 1, -1);
            }
        }
        const int64_t end = begin + count;
        if (end < layout.columns) {
            rest.narrow(0, end, layout.columns - end)
                .addmm_(factor.narrow(0, begin, count).narrow(1, end, layout.columns - end).t(),
                    errors, 1, -1);
        }
    }
    const at::Tensor original_order = order.argsort();
    const at::Tensor second = parameters.minimum.defined() ? parameters.minimum.to(at::kHalf)
                                                           : parameters.zero.to(at::kByte);
    QuantizedWeight result;
    result.scheme = scheme;
    result.codes = codes.t().index_select(1, original_order).to(at::kByte).contiguous();
    result.scales = parameters.scale.to(at::kHalf);
    result.zeros = second;
    return result;
}

} // namespace bitsmith::quant
