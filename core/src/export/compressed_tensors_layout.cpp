// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/compressed_tensors_layout.h"

#include "base/text.h"
#include "export/compressed_tensors_config.h"
#include "model/block_layout.h"
#include "quant/group_layout.h"

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace {

constexpr int64_t kWordBits = 32;

int64_t words_for(int64_t values, int64_t bits)
{
    return (values * bits + kWordBits - 1) / kWordBits;
}

struct Stored
{
    const char* name; ///< of the codes
    std::vector<int64_t> shape;
    c10::ScalarType type;
    c10::ScalarType scale_type;
};

Stored stored_integers(const PlannedLayer& layer)
{
    if (layer.scheme.quantizes_activations()) {
        return {".weight", {layer.rows, layer.columns}, at::kChar, at::kHalf};
    }
    return {".weight_packed", {layer.rows, words_for(layer.columns, layer.scheme.bits)}, at::kInt,
        at::kHalf};
}

Stored stored_codes(const PlannedLayer& layer)
{
    const DataType type = layer.scheme.data_type;
    if (type == DataType::Int) {
        return stored_integers(layer);
    }
    const c10::ScalarType scale_type = type == DataType::Fp8 ? at::kFloat
        : type == DataType::NvFp                             ? at::kFloat8_e4m3fn
                                                             : at::kByte;
    if (layer.scheme.bits == 4) {
        return {".weight_packed", {layer.rows, layer.columns / 2}, at::kByte, scale_type};
    }
    return {".weight", {layer.rows, layer.columns}, at::kFloat8_e4m3fn, scale_type};
}

std::vector<int64_t> scale_shape(const PlannedLayer& layer)
{
    const quant::GroupLayout groups(layer.scheme, layer.rows, layer.columns);
    return groups.per_tensor ? std::vector<int64_t>{1}
                             : std::vector<int64_t>{groups.group_rows, groups.groups};
}

/// In the attention module, where runtimes look for them (formats.md 5.9).
void add_cache_scales(
    std::vector<CompressedTensor>& layout, const model::DecoderSpec& spec, int64_t block)
{
    const std::string module = model::attention_module(spec, block);
    const std::string number = std::to_string(block);
    layout.push_back({module + ".k_scale", CompressedPart::KeyScale, number, {1}, at::kFloat});
    layout.push_back({module + ".v_scale", CompressedPart::ValueScale, number, {1}, at::kFloat});
}

} // namespace

std::string compressed_shape_refusal(const PlannedLayer& layer)
{
    const bool is_int = layer.scheme.data_type == DataType::Int;
    const int64_t width =
        is_int ? quant::group_width(layer.scheme, layer.columns) : layer.scheme.group_size;
    return layer.scheme.data_type == DataType::Fp8 || layer.columns % width == 0
        ? ""
        : concat("readers take only layers of whole groups: columns in multiples of ", width);
}

std::vector<CompressedTensor> compressed_layer(const PlannedLayer& layer)
{
    if (const std::string reason = compressed_shape_refusal(layer); !reason.empty()) {
        fail(ErrorCode::ShapeMismatch, reason,
            {{"layer", layer.name}, {"found", concat(layer.columns, " columns")}},
            "Keep this layer at 16 bits, or use smaller groups.");
    }
    std::vector<CompressedTensor> tensors;
    const auto add = [&](const char* ending, CompressedPart part, std::vector<int64_t> shape,
                         c10::ScalarType type) {
        tensors.push_back({layer.name + ending, part, layer.name, std::move(shape), type});
    };
    const bool is_packed_int =
        layer.scheme.data_type == DataType::Int && !layer.scheme.quantizes_activations();
    const bool is_nv = layer.scheme.data_type == DataType::NvFp;
    const Stored codes = stored_codes(layer);
    const std::vector<int64_t> scales = scale_shape(layer);
    add(codes.name, CompressedPart::Codes, codes.shape, codes.type);
    add(".weight_scale", CompressedPart::Scale, scales, codes.scale_type);
    if (!layer.scheme.sym && is_packed_int) {
        add(".weight_zero_point", CompressedPart::Zeros,
            {words_for(layer.rows, layer.scheme.bits), scales[1]}, at::kInt);
    } else if (!layer.scheme.sym) {
        add(".weight_zero_point", CompressedPart::Zeros, scales, at::kChar);
    }
    if (is_packed_int) {
        add(".weight_shape", CompressedPart::Shape, {2}, at::kLong);
    }
    if (is_nv) {
        add(".weight_global_scale", CompressedPart::GlobalScale, {1}, at::kFloat);
    }
    if (layer.scheme.needs_input_max()) {
        add(is_nv ? ".input_global_scale" : ".input_scale",
            is_nv ? CompressedPart::InputGlobalScale : CompressedPart::InputScale, {1}, at::kFloat);
    }
    return tensors;
}

std::vector<CompressedTensor> compressed_layout(const ExportInput& input)
{
    auto tensors =
        folder_layout<CompressedPart>(input, [](auto& layout, const PlannedLayer& layer) {
            const std::string reason = compressed_refusal(layer.scheme);
            if (!reason.empty()) {
                fail(ErrorCode::UnsupportedScheme, reason,
                    {{"layer", layer.name}, {"found", scheme_name(layer.scheme)}});
            }
            for (CompressedTensor& tensor : compressed_layer(layer)) {
                layout.push_back(std::move(tensor));
            }
        });
    if (input.spec.recipe.static_kv_dtype == CacheType::Fp8) {
        for (int64_t i = 0; i < static_cast<int64_t>(input.model.spec.blocks.size()); ++i) {
            add_cache_scales(tensors, input.model.spec, i);
        }
    }
    return tensors;
}

} // namespace bitsmith::exporting
