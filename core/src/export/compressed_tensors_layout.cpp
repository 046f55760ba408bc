// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/compressed_tensors_layout.h"

#include "base/text.h"
#include "export/compressed_tensors_config.h"
#include "quant/group_layout.h"

#include <ATen/ATen.h>

#include <set>

namespace bitsmith::exporting {

namespace {

constexpr std::string_view kWeight = ".weight";
constexpr int64_t kWordBits = 32;

int64_t words_for(int64_t values, int64_t bits)
{
    return (values * bits + kWordBits - 1) / kWordBits;
}

/// Readers split rows into whole groups; only tiles may be cut off at the edges.
void check_layer(const PlannedLayer& layer)
{
    const std::string reason = compressed_refusal(layer.scheme);
    if (!reason.empty()) {
        fail(ErrorCode::UnsupportedScheme, reason,
            {{"layer", layer.name}, {"found", scheme_name(layer.scheme)}});
    }
    const bool is_int = layer.scheme.data_type == DataType::Int;
    const int64_t width =
        is_int ? quant::group_width(layer.scheme, layer.columns) : layer.scheme.group_size;
    if (layer.scheme.data_type != DataType::Fp8 && layer.columns % width != 0) {
        fail(ErrorCode::ShapeMismatch, "llm_compressor holds only layers of whole groups",
            {{"layer", layer.name}, {"found", concat(layer.columns, " columns")},
                {"allowed", concat("multiples of ", width)}},
            "Keep this layer at 16 bits.");
    }
}

struct Stored
{
    const char* name; ///< of the codes
    std::vector<int64_t> shape;
    c10::ScalarType type;
    c10::ScalarType scale_type;
};

Stored stored_codes(const PlannedLayer& layer)
{
    const int64_t rows = layer.rows, columns = layer.columns;
    switch (compressed_format(layer.scheme)) {
    case CompressedFormat::PackedInt:
        return {
            ".weight_packed", {rows, words_for(columns, layer.scheme.bits)}, at::kInt, at::kHalf};
    case CompressedFormat::Int:
        return {".weight", {rows, columns}, at::kChar, at::kHalf};
    case CompressedFormat::Float8:
        return {".weight", {rows, columns}, at::kFloat8_e4m3fn, at::kFloat};
    case CompressedFormat::MxFp8:
        return {".weight", {rows, columns}, at::kFloat8_e4m3fn, at::kByte};
    case CompressedFormat::MxFp4:
        return {".weight_packed", {rows, columns / 2}, at::kByte, at::kByte};
    case CompressedFormat::NvFp4:
        return {".weight_packed", {rows, columns / 2}, at::kByte, at::kFloat8_e4m3fn};
    }
    fail(ErrorCode::Internal, "unknown format of a layer");
}

std::vector<int64_t> scale_shape(const PlannedLayer& layer)
{
    const quant::GroupLayout groups(layer.scheme, layer.rows, layer.columns);
    return groups.per_tensor ? std::vector<int64_t>{1}
                             : std::vector<int64_t>{groups.group_rows, groups.groups};
}

void add_layer(std::vector<CompressedTensor>& layout, const PlannedLayer& layer)
{
    check_layer(layer);
    const auto add = [&](const char* ending, CompressedPart part, std::vector<int64_t> shape,
                         c10::ScalarType type) {
        layout.push_back({layer.name + ending, part, layer.name, std::move(shape), type});
    };
    const CompressedFormat format = compressed_format(layer.scheme);
    const bool is_packed_int = format == CompressedFormat::PackedInt;
    const bool is_nv = format == CompressedFormat::NvFp4;
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
}

} // namespace

std::vector<CompressedTensor> compressed_layout(const ExportInput& input)
{
    std::vector<CompressedTensor> layout;
    std::set<std::string, std::less<>> placed;
    for (const tensor::TensorEntry& entry : input.model.tensors->entries()) {
        if (const PlannedLayer* layer = quantized_layer(input.plan, entry.name, kWeight)) {
            add_layer(layout, *layer);
            placed.insert(layer->name);
        } else {
            layout.push_back({entry.name, CompressedPart::Copy, entry.name, entry.shape,
                copied_type(input.model, entry)});
        }
    }
    for (const PlannedLayer* head : heads_to_add(input, placed)) {
        add_layer(layout, *head);
    }
    return layout;
}

} // namespace bitsmith::exporting
