// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_round_layout.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::exporting {

namespace {

/// The packing of a layer of numbers that are no integers.
AutoRoundPacking float_packing(const Scheme& scheme)
{
    switch (scheme.data_type) {
    case DataType::NvFpE5m3:
        return AutoRoundPacking::NvFpE5m3;
    case DataType::MxInt:
        return AutoRoundPacking::MxInt;
    case DataType::Fp8:
        return scheme.group_rows > 1 ? AutoRoundPacking::Fp8Tiles : AutoRoundPacking::Fp8Static;
    default:
        return AutoRoundPacking::CompressedTensors;
    }
}

AutoRoundPacking int_packing(const Plan& plan)
{
    if (!has_asymmetric_layers(plan)) {
        return AutoRoundPacking::Gptq;
    }
    const PackedIntStyle awq = auto_round_int_style(AutoRoundPacking::Awq);
    const bool fits =
        std::all_of(plan.layers.begin(), plan.layers.end(), [&](const PlannedLayer& layer) {
            return !layer.scheme.is_quantized()
                || (packed_int_refusal(layer.scheme, awq).empty()
                    && packed_shape_refusal(layer, awq).empty());
        });
    return fits ? AutoRoundPacking::Awq : AutoRoundPacking::Plain;
}

/// A quantized layer that needs another packing than the first one; null when there is none.
const PlannedLayer* odd_layer(const Plan& plan, const PlannedLayer* first)
{
    const auto packing_of = [](const Scheme& scheme) {
        return scheme.data_type == DataType::Int ? AutoRoundPacking::Gptq : float_packing(scheme);
    };
    const auto odd =
        std::find_if(plan.layers.begin(), plan.layers.end(), [&](const PlannedLayer& layer) {
            return first != nullptr && layer.scheme.is_quantized()
                && packing_of(layer.scheme) != packing_of(first->scheme);
        });
    return odd == plan.layers.end() ? nullptr : &*odd;
}

/// Scales of FP8 are a vector where compressed-tensors has a column, and those of tiles have the name
/// that DeepSeek gave them.
void adapt_scale(CompressedTensor& scale, const PlannedLayer& layer)
{
    if (layer.scheme.group_rows > 1) {
        scale.name = layer.name + ".weight_scale_inv";
    } else {
        scale.shape.resize(1);
    }
}

} // namespace

const AutoRoundPackingInfo& packing_info(AutoRoundPacking packing)
{
    static constexpr AutoRoundPackingInfo infos[] = {
        {"auto_round:auto_gptq", ""},
        {"auto_round", ""},
        {"auto_round:auto_awq", "float16"},
        {"auto_round:llm_compressor", ""},
        {"auto_round:llm_compressor_nvfp4_e5m3", ""},
        {"auto_round", ""},
        {"auto_round:fp8_static", "bfloat16"},
        {"auto_round:fp8", "bfloat16"},
    };
    return infos[static_cast<std::size_t>(packing)];
}

bool holds_integers(AutoRoundPacking packing)
{
    return packing == AutoRoundPacking::Gptq || packing == AutoRoundPacking::Plain
        || packing == AutoRoundPacking::Awq;
}

std::string auto_round_plan_refusal(const Plan& plan)
{
    const PlannedLayer* first = first_quantized(plan);
    const PlannedLayer* odd = odd_layer(plan, first);
    return odd == nullptr
        ? ""
        : concat("auto_round describes one kind of numbers per folder, but ", first->name, " is ",
            scheme_name(first->scheme), " and ", odd->name, " is ", scheme_name(odd->scheme));
}

AutoRoundPacking auto_round_packing(const Plan& plan)
{
    const std::string reason = auto_round_plan_refusal(plan);
    if (!reason.empty()) {
        fail(ErrorCode::UnsupportedScheme, reason, {{"format", "auto_round"}},
            "Export as llm_compressor, which describes every layer, or use one kind of numbers.");
    }
    const PlannedLayer* first = first_quantized(plan);
    return first == nullptr || first->scheme.data_type == DataType::Int
        ? int_packing(plan)
        : float_packing(first->scheme);
}

PackedIntStyle auto_round_int_style(AutoRoundPacking packing)
{
    BITSMITH_ASSERT(holds_integers(packing));
    PackedIntStyle style{"auto_round"};
    if (packing == AutoRoundPacking::Awq) {
        style.order = PackedIntOrder::Awq;
    } else if (packing == AutoRoundPacking::Gptq) {
        style.offset = tensor::ZeroOffset::MinusOne;
    }
    return style;
}

std::vector<CompressedTensor> auto_round_float_layout(const ExportInput& input)
{
    return folder_layout<CompressedPart>(input, [](auto& layout, const PlannedLayer& layer) {
        for (CompressedTensor& tensor : compressed_layer(layer)) {
            if (tensor.part == CompressedPart::Scale && layer.scheme.data_type == DataType::Fp8) {
                adapt_scale(tensor, layer);
            }
            layout.push_back(std::move(tensor));
        }
    });
}

} // namespace bitsmith::exporting
