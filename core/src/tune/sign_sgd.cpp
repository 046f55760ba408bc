// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/sign_sgd.h"

#include <bitsmith/error.h>

namespace bitsmith::tune {

namespace {

constexpr int64_t kManyIterations = 1000;
constexpr int64_t kFewBits = 3;

} // namespace

SignSchedule::SignSchedule(const Recipe& recipe, const Scheme& scheme)
    : iters_(static_cast<double>(recipe.iters))
    , open_ends_(recipe.mimic_reference)
{
    BITSMITH_ASSERT(recipe.iters > 0);
    const bool doubled = recipe.iters >= kManyIterations && scheme.bits <= kFewBits;
    rounding_ = recipe.lr.value_or((doubled ? 2.0 : 1.0) / iters_);
    const bool stays = scheme.data_type == DataType::IntDouble && !recipe.mimic_reference;
    range_ = recipe.enable_minmax_tuning ? recipe.minmax_lr.value_or(stays ? 0 : rounding_) : 0.0;
}

StepSizes SignSchedule::at(int64_t iteration) const
{
    const double left = 1.0 - static_cast<double>(iteration) / iters_;
    return {rounding_ * left, range_ * left, open_ends_};
}

} // namespace bitsmith::tune
