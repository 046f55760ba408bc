// SPDX-License-Identifier: GPL-3.0-or-later
// How much each input channel of a layer carries.
#pragma once

#include "model/linear.h"

namespace bitsmith::tune {

/// While set on its layer: computes the output as usual and adds up Σ ω x² over the tokens it sees.
class InputImportanceHook final : public model::LinearHook
{
public:
    /// Tokens that settle a mean square per channel.
    static constexpr int64_t kTokens = 8192;

    /// ω [tokens] of the next forward; undefined: all equal. Layers that see other tokens than the
    /// block does (routed experts) count theirs equally.
    void set_token_weights(at::Tensor weights) { token_weights_ = std::move(weights); }
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override;

    /// fp32 [in]; undefined when no token was seen.
    const at::Tensor& importance() const { return sums_; }
    /// Σ ω; the number of tokens where all count equally.
    double weight() const { return weight_; }

private:
    at::Tensor token_weights_;
    at::Tensor sums_;
    double weight_ = 0;
};

} // namespace bitsmith::tune
