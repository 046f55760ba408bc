// SPDX-License-Identifier: GPL-3.0-or-later
// Mixture of experts: routers R1 and R2, dispatch by expert (models.md 1.12).
#pragma once

#include "model/mlp.h"

#include <vector>

namespace bitsmith::model {

struct Routing
{
    at::Tensor weights; ///< [tokens, top_k]
    at::Tensor experts; ///< int64 [tokens, top_k]
};

/// logits [tokens, experts] -> the chosen experts and their weights in the type of `logits`, or
/// fp32 when the router keeps them so. Throws UnsupportedModel for a rule that is not implemented.
Routing route(const RouterSpec& spec, const at::Tensor& logits);

class Moe
{
public:
    RouterSpec spec;
    Linear router;
    std::vector<Mlp> experts;

    /// x [batch, tokens, hidden] -> same shape. An expert without tokens is not run.
    at::Tensor forward(const at::Tensor& x) const;
};

} // namespace bitsmith::model
