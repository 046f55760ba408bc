// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/wide_block.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>

namespace bitsmith::tune {

namespace {

void convert(model::Linear& linear, at::ScalarType type)
{
    linear.weight = linear.weight.to(type);
    if (linear.bias.defined()) {
        linear.bias = linear.bias.to(type);
    }
}

c10::Device device_of(model::DecoderBlock& block)
{
    const std::vector<model::BlockLinear> linears = block.linears();
    return linears.empty() ? c10::Device(c10::kCPU) : linears.front().linear->weight.device();
}

} // namespace

bool WideBlock::is_narrow(model::DecoderBlock& block)
{
    const std::vector<model::BlockLinear> linears = block.linears();
    return std::any_of(linears.begin(), linears.end(), [](const model::BlockLinear& entry) {
        return c10::elementSize(entry.linear->weight.scalar_type()) < sizeof(float);
    });
}

WideBlock::WideBlock(model::DecoderBlock& block, int64_t tokens)
    : block_(block)
    , shared_(tokens, 0, at::TensorOptions(device_of(block)).dtype(at::kFloat))
{
    for (const model::BlockLinear& entry : block.linears()) {
        layers_.emplace_back(entry.linear, entry.linear->weight.scalar_type());
        convert(*entry.linear, at::kFloat);
    }
}

void WideBlock::narrow()
{
    for (const auto& [linear, type] : layers_) {
        convert(*linear, type);
    }
}

at::Tensor WideBlock::forward(const at::Tensor& hidden) const
{
    at::Tensor output = block_.forward(hidden.to(at::kFloat), shared_);
    BITSMITH_ASSERT(output.scalar_type() == at::kFloat);
    return output;
}

} // namespace bitsmith::tune
