// SPDX-License-Identifier: GPL-3.0-or-later
// How much each input channel of a layer carries.
#pragma once

#include "model/linear.h"

namespace bitsmith::tune {

/// While set on its layer: computes the output as usual and adds up Σ ω x² over the tokens it sees,
/// and Σ ω |x| if that is wanted.
class InputImportanceHook final : public model::LinearHook
{
public:
    explicit InputImportanceHook(bool wants_magnitudes = false)
        : wants_magnitudes_(wants_magnitudes)
    { }

    /// ω [tokens] of the next forward; undefined: all equal. Layers that see other tokens than the
    /// block does (routed experts) count theirs equally.
    void set_token_weights(at::Tensor weights) { token_weights_ = std::move(weights); }
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override;

    /// fp32 [in]; undefined when no token was seen.
    const at::Tensor& importance() const { return sums_; }
    /// Σ ω |x|, fp32 [in]; undefined when no token was seen or it was not wanted.
    const at::Tensor& magnitudes() const { return magnitudes_; }
    /// Σ ω; the number of tokens where all count equally.
    double weight() const { return weight_; }

private:
    void add(at::Tensor& sums, const at::Tensor& values) const;

    bool wants_magnitudes_;
    at::Tensor token_weights_;
    at::Tensor sums_, magnitudes_;
    double weight_ = 0;
};

} // namespace bitsmith::tune
