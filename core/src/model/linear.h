// SPDX-License-Identifier: GPL-3.0-or-later
// Our linear layer: one stored 2-D weight. Its product can be replaced for a scope.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

namespace bitsmith::model {

class Linear;

/// Computes a linear layer's output instead of x·Wᵀ + b. Used by the tuner (fake-quantized weights)
/// and by statistics.
class LinearHook
{
public:
    virtual ~LinearHook() = default;
    /// x [..., in] -> [..., out].
    virtual at::Tensor forward(const Linear& linear, const at::Tensor& x) = 0;
};

/// What a layer's input goes through before its product, such as the rounding of a runtime that
/// quantizes activations.
class InputTransform
{
public:
    virtual ~InputTransform() = default;
    /// x [..., in] -> same shape and element type; differentiable.
    virtual at::Tensor apply(const at::Tensor& x) const = 0;
};

/// weight [out, in], bias [out] or undefined; all on one device and of one element type.
class Linear
{
public:
    Linear() = default;
    Linear(std::string name, at::Tensor weight, at::Tensor bias)
        : name(std::move(name))
        , weight(std::move(weight))
        , bias(std::move(bias))
    { }

    bool defined() const { return weight.defined(); }
    /// x [..., in] -> [..., out]; through the hook when one is set.
    at::Tensor forward(const at::Tensor& x) const;
    /// The product of the transformed input with a weight, never through the hook.
    at::Tensor product(const at::Tensor& x, const at::Tensor& effective_weight) const;
    /// x as the product sees it.
    at::Tensor transformed(const at::Tensor& x) const;

    std::string name; ///< checkpoint name without ".weight"
    at::Tensor weight;
    at::Tensor bias;
    std::shared_ptr<const InputTransform> input_transform; ///< or null

private:
    friend class LinearHookScope;
    LinearHook* hook_ = nullptr;
};

/// Sets a hook for its own lifetime; clears it also when an exception passes.
class LinearHookScope
{
public:
    LinearHookScope(Linear& linear, LinearHook& hook)
        : linear_(linear)
        , previous_(linear.hook_)
    {
        linear_.hook_ = &hook;
    }
    ~LinearHookScope() { linear_.hook_ = previous_; }
    LinearHookScope(const LinearHookScope&) = delete;
    LinearHookScope& operator=(const LinearHookScope&) = delete;

private:
    Linear& linear_;
    LinearHook* previous_;
};

} // namespace bitsmith::model
