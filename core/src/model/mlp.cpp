// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/mlp.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

namespace {

at::Tensor activate(Activation act, const at::Tensor& x)
{
    switch (act) {
    case Activation::Silu:
        return at::silu(x);
    case Activation::GeluErf:
        return at::gelu(x);
    case Activation::GeluTanh:
        return at::gelu(x, "tanh");
    case Activation::QuickGelu:
        return x * at::sigmoid(1.702 * x);
    case Activation::Relu:
        return at::relu(x);
    case Activation::Relu2:
        return at::relu(x).square();
    case Activation::Xielu:
    case Activation::GptOssClamped:
        break;
    }
    fail(ErrorCode::UnsupportedModel, "this activation is not implemented",
        {{"field", "hidden_act"}, {"found", std::to_string(static_cast<int>(act))}});
}

} // namespace

at::Tensor gated_activation(Activation act, const at::Tensor& gate, const at::Tensor& up)
{
    if (act == Activation::GptOssClamped) {
        const at::Tensor g = gate.clamp_max(7.0);
        const at::Tensor u = up.clamp(-7.0, 7.0);
        return (u + 1) * (g * at::sigmoid(g * 1.702));
    }
    return activate(act, gate) * up;
}

bool is_linear_in_up(Activation act)
{
    return act != Activation::GptOssClamped;
}

at::Tensor Mlp::forward(const at::Tensor& x) const
{
    if (gate_up.defined()) {
        const at::Tensor both = gate_up.forward(x);
        const int64_t inner = both.size(-1) / 2;
        return down.forward(
            gated_activation(act, both.narrow(-1, 0, inner), both.narrow(-1, inner, inner)));
    }
    const at::Tensor gated = gate.forward(x); // first: hooks rely on the order of execution
    return down.forward(gated_activation(act, gated, up.forward(x)));
}

} // namespace bitsmith::model
