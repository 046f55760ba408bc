// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/compensated.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

/// Numbers that one column can become, each [rows].
struct ColumnGrid
{
    at::Tensor scale;
    at::Tensor divisor; ///< infinite where the scale is 0, so that such elements become 0
    at::Tensor zero, minimum; ///< or undefined

    /// Steps of a column, and its values.
    std::pair<at::Tensor, at::Tensor> round(const at::Tensor& column, const CodeGrid& grid) const
    {
        at::Tensor steps = (minimum.defined() ? column - minimum : column).div(divisor);
        if (grid.elements != nullptr) {
            steps = grid.elements->round(steps, {}, false);
            return {steps, steps * scale};
        }
        steps.round_();
        if (zero.defined()) {
            steps.add_(zero);
        }
        steps.clamp_(0, grid.last);
        const at::Tensor value = (zero.defined() ? steps - zero : steps) * scale;
        return {steps, minimum.defined() ? value + minimum : value};
    }
};

/// The grid of a weight with its columns in another order.
class OrderedGrid
{
public:
    OrderedGrid(const CodeGrid& grid, const Scheme& scheme, const at::Tensor& order)
        : groups_(order.div(group_width(scheme, order.numel()), "floor"))
        , scale_(columns_of(grid.scale))
        , divisor_(at::where(scale_ == 0, std::numeric_limits<float>::infinity(), scale_))
        , zero_(columns_of(grid.zero))
        , minimum_(columns_of(grid.minimum))
    { }
    ColumnGrid column(int64_t j) const
    {
        const auto row = [j](const at::Tensor& all) { return all.defined() ? all[j] : all; };
        return {row(scale_), row(divisor_), row(zero_), row(minimum_)};
    }

private:
    /// [rows, groups] -> [columns, rows], so that a step works on contiguous memory.
    at::Tensor columns_of(const at::Tensor& per_group) const
    {
        return per_group.defined() ? per_group.t().index_select(0, groups_) : per_group;
    }
    at::Tensor groups_; ///< of the columns
    at::Tensor scale_, divisor_, zero_, minimum_;
};

} // namespace

at::Tensor corrected_weight(
    const at::Tensor& weight, const InputMoments& moments, double correction)
{
    const at::NoGradGuard no_grad;
    const at::Tensor original = weight.to(at::kFloat);
    if (correction == 0 || (!moments.drift.defined() && !moments.lacking.defined())) {
        return original;
    }
    at::Tensor lacking =
        moments.drift.defined() ? at::mm(original, moments.drift) : at::zeros_like(original);
    if (moments.lacking.defined()) {
        lacking.add_(moments.lacking);
    }
    // X (H + λI) = what is lacking, solved from the transposed side.
    const at::Tensor change =
        at::cholesky_solve(lacking.t().contiguous(), damped_factor(moments.hessian)).t();
    return original + change * correction;
}

QuantizedWeight compensated_encode(const at::Tensor& weight, const Scheme& scheme,
    const TunedValues& start, const InputMoments& moments)
{
    const at::NoGradGuard no_grad;
    const at::Tensor original = weight.to(at::kFloat);
    QuantizedWeight result = codec_for(scheme).encode(original, scheme, start);
    const CodeGrid grid = codec_for(scheme).code_grid(result);
    const int64_t columns = original.size(1);

    const at::Tensor order = moments.hessian.diagonal().argsort(0, /*descending=*/true);
    const OrderedGrid ordered(grid, scheme, order);
    const at::Tensor hessian = moments.hessian.index_select(0, order).index_select(1, order);
    const at::Tensor factor =
        at::linalg_cholesky(at::cholesky_inverse(damped_factor(hessian)), /*upper=*/true);

    at::Tensor rest = original.index_select(1, order).t().contiguous();
    at::Tensor steps = at::empty_like(rest);
    for (int64_t begin = 0; begin < columns; begin += kBlockColumns) {
        const int64_t count = std::min(kBlockColumns, columns - begin);
        at::Tensor errors = at::empty({count, original.size(0)}, rest.options());
        at::Tensor block = rest.narrow(0, begin, count);
        for (int64_t i = 0; i < count; ++i) {
            const int64_t j = begin + i;
            const auto [step, value] = ordered.column(j).round(block[i], grid);
            steps[j].copy_(step);
            errors[i].copy_((block[i] - value).div_(factor[j][j]));
            if (i + 1 < count) {
                block.narrow(0, i + 1, count - i - 1)
                    .addr_(factor[j].narrow(0, j + 1, count - i - 1), errors[i], 1, -1);
            }
        }
        const int64_t end = begin + count;
        if (end < columns) {
            rest.narrow(0, end, columns - end)
                .addmm_(factor.narrow(0, begin, count).narrow(1, end, columns - end).t(), errors, 1,
                    -1);
        }
    }
    steps = steps.t().index_select(1, order.argsort());
    result.codes =
        (grid.elements != nullptr ? grid.elements->codes(steps) : steps.to(at::kByte)).contiguous();
    return result;
}

} // namespace bitsmith::quant
