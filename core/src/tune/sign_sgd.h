// SPDX-License-Identifier: GPL-3.0-or-later
// Step sizes of signed gradient descent: θ <- θ - lr · sign(∂L/∂θ), lr falling linearly to zero.
#pragma once

#include <bitsmith/recipe.h>
#include <bitsmith/scheme.h>

#include <cstdint>

namespace bitsmith::tune {

/// Step sizes of one step.
struct StepSizes
{
    double rounding = 0; ///< of V, in units of a code
    double range = 0; ///< of the min and max factors; 0 leaves them alone
    /// Weights on the first and last code count as clamped, so that their V does not move: the
    /// derivative of LibTorch's clamp from version 2.15 on, and so auto-round's.
    bool open_ends = false;
};

/// Step sizes of one layer. Source: algorithm.md 1.10: the step at `iteration` (from 0) uses
/// lr · (1 - iteration / iters); lr is 1 / iters unless given, 2 / iters for layers of at most 3
/// bits from 1000 steps on; the factors use minmax_lr, lr unless given. Those of K types stay
/// unless it is given or the reference followed: under every step all integers of a super-block
/// would jump.
class SignSchedule
{
public:
    SignSchedule(const Recipe& recipe, const Scheme& scheme);

    StepSizes at(int64_t iteration) const;

private:
    double iters_;
    double rounding_;
    double range_;
    bool open_ends_;
};

} // namespace bitsmith::tune
