// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/runtime_rounding.h"

#include "base/text.h"
#include "source/layer_parts.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <cmath>

namespace bitsmith::source {

namespace {

using tensor::TensorSource;

/// Largest numbers of E4M3, and of NVFP4 with its E4M3 scales (formats.md 5.5, 5.8).
constexpr double kLargestE4m3 = 448, kLargestNv = 448.0 * 6;
constexpr int64_t kLargestGroup = 65536; ///< of the fields of a scheme

/// One positive number.
double load_scale(const TensorSource& stored, const std::string& name)
{
    const tensor::TensorEntry& entry = part(stored, name);
    const at::Tensor scale = is_plain_float(entry) ? stored.load(name) : at::Tensor();
    if (!scale.defined() || scale.numel() != 1) {
        misfit(entry, "one number, F16, BF16 or F32");
    }
    const auto value = scale.item<double>();
    if (!std::isfinite(value) || value <= 0) {
        fail(ErrorCode::FileCorrupt, "a scale is no positive number",
            {{"tensor", name}, {"found", std::to_string(value)}});
    }
    return value;
}

at::Tensor number(double value)
{
    return at::full({1}, value, at::kFloat);
}

/// Empty: we round inputs so.
std::string inputs_refusal(const Scheme& inputs)
{
    if (inputs.act_group_size < kGroupPerRow || inputs.act_group_size > kLargestGroup) {
        return concat("activations: no groups of ", inputs.act_group_size);
    }
    if (inputs.act_dynamic && inputs.act_group_size == kGroupPerTensor) {
        return "activations: one scale at run time depends on what else is computed with a text";
    }
    return quant::scheme_refusal(with_activations_of(Scheme(), inputs)); // any weights will do
}

} // namespace

void set_inputs(StoredLayer& layer, const Scheme& inputs)
{
    if (!inputs.quantizes_activations()) {
        return;
    }
    layer.other_inputs = inputs_refusal(inputs);
    if (layer.other_inputs.empty()) {
        layer.scheme = with_activations_of(layer.scheme, inputs);
    }
}

at::Tensor largest_input(const StoredLayer& layer, const TensorSource& stored)
{
    if (!layer.scheme.needs_input_max()) {
        return {};
    }
    if (layer.scheme.act_dynamic) {
        const std::string divisor = layer.name + ".input_global_scale";
        return stored.find(divisor) != nullptr ? number(kLargestNv / load_scale(stored, divisor))
                                               : at::Tensor();
    }
    return number(kLargestE4m3 * load_scale(stored, layer.name + ".input_scale"));
}

RuntimeRounding::RuntimeRounding(std::shared_ptr<const TensorSource> stored,
    std::shared_ptr<const StoredLayers> layers, CacheRule cache)
    : stored_(std::move(stored))
    , layers_(std::move(layers))
    , cache_(std::move(cache))
{
    for (const auto& [name, layer] : *layers_) {
        if (layer->scheme.quantizes_activations() || !layer->other_inputs.empty()) {
            rounded_.push_back(name);
        }
    }
}

InputRounding RuntimeRounding::inputs(std::string_view layer) const
{
    const auto found = layers_->find(layer);
    return found == layers_->end()
        ? InputRounding{keep_scheme(), {}}
        : InputRounding{found->second->scheme, largest_input(*found->second, *stored_)};
}

quant::CacheMaxima RuntimeRounding::cache(const std::string& attention) const
{
    if (cache_.type == CacheType::None) {
        return {};
    }
    return {number(kLargestE4m3 * load_scale(*stored_, attention + ".k_scale")),
        number(kLargestE4m3 * load_scale(*stored_, attention + ".v_scale"))};
}

bool RuntimeRounding::is_empty() const
{
    return rounded_.empty() && cache_.type == CacheType::None && cache_.other.empty();
}

std::vector<std::string> RuntimeRounding::warnings() const
{
    std::vector<std::string> warnings;
    int64_t others = 0;
    const StoredLayer* first = nullptr;
    for (const std::string& name : rounded_) {
        const StoredLayer& layer = *layers_->find(name)->second;
        others += layer.other_inputs.empty() ? 0 : 1;
        first = first == nullptr && !layer.other_inputs.empty() ? &layer : first;
    }
    if (first != nullptr) {
        warnings.push_back(concat("inputs of ", others, " layers, the first of them ", first->name,
            ", stay as they are although runtimes round them: ", first->other_inputs));
    }
    if (!cache_.other.empty()) {
        warnings.push_back(concat(
            "keys and values stay as they are although runtimes round them: ", cache_.other));
    }
    return warnings;
}

} // namespace bitsmith::source
