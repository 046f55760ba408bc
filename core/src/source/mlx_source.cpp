// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/mlx_source.h"

#include "base/text.h"
#include "source/config_fields.h"
#include "source/layer_parts.h"
#include "source/mlx_experts.h"
#include "tensor/bit_pack.h"

#include <bitsmith/error.h>

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <span>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;
using tensor::TensorSource;

constexpr int64_t kAffineWidths[] = {2, 3, 4, 5, 6, 8}, kFour[] = {4}, kEight[] = {8};
constexpr int64_t kMxGroup = 32;

struct Mode
{
    std::string_view word;
    DataType type;
    std::span<const int64_t> widths; ///< bits
    int64_t bits, group_size; ///< where the configuration says null or nothing
};
constexpr std::array kModes = {
    Mode{"affine", DataType::IntFloatZero, kAffineWidths, 4, 64},
    Mode{"mxfp4", DataType::MxFp, kFour, 4, kMxGroup},
    Mode{"mxfp8", DataType::MxFp, kEight, 8, kMxGroup},
};

class MlxLayer : public StoredLayer
{
public:
    bool is_affine() const { return scheme.data_type == DataType::IntFloatZero; }

    at::Tensor load_codes(const TensorSource& stored) const override
    {
        const at::Tensor codes = tensor::unpack_stream(stored.load(name + ".weight"), scheme.bits);
        return is_affine() || scheme.bits < 8 ? codes : codes.view(at::kFloat8_e4m3fn);
    }
    LayerScales load_scales(const TensorSource& stored) const override
    {
        LayerScales result;
        result.scales = stored.load(name + ".scales");
        if (is_affine()) {
            result.zeros = stored.load(name + ".biases");
        }
        return result;
    }
};

const Mode& mode_of(const Json& rule)
{
    const std::string word = text_field(rule, "mode", "affine");
    std::vector<std::string> words;
    for (const Mode& mode : kModes) {
        if (mode.word == word) {
            return mode;
        }
        words.emplace_back(mode.word);
    }
    unsupported_field("mode", word, join(words, ", "));
}

void check_width(const Mode& mode, int64_t bits)
{
    if (std::find(mode.widths.begin(), mode.widths.end(), bits) != mode.widths.end()) {
        return;
    }
    std::vector<std::string> allowed;
    for (const int64_t width : mode.widths) {
        allowed.push_back(std::to_string(width));
    }
    unsupported_field("bits", std::to_string(bits), join(allowed, ", "));
}

/// Scales, and offsets where the mode has them.
void add_group_parts(MlxLayer& layer, const TensorSource& stored)
{
    const std::vector<int64_t> shape = {layer.rows, layer.columns / layer.scheme.group_size};
    const TensorEntry& scales = part(stored, layer.name + ".scales");
    layer.parts.push_back(scales.name);
    if (!layer.is_affine()) {
        require(scales, "U8", shape);
        return;
    }
    const TensorEntry& biases = part(stored, layer.name + ".biases");
    layer.parts.push_back(biases.name);
    for (const TensorEntry* entry : {&scales, &biases}) {
        if (!is_plain_float(*entry) || entry->shape != shape) {
            misfit(*entry, concat("F16, BF16 or F32 ", shape_text(shape)));
        }
    }
}

std::unique_ptr<const StoredLayer> find_layer(
    const Json& config, const MlxExperts& stored, const TensorEntry& codes)
{
    auto layer = std::make_unique<MlxLayer>();
    layer->name = layer_of(codes.name, ".weight");
    if (layer->name.empty() || codes.dtype != "U32") {
        return nullptr;
    }
    if (codes.shape.size() == 3) {
        fail(ErrorCode::UnsupportedFormat, "stacked experts of MLX under this name cannot be read",
            {{"tensor", codes.name}, {"found", shape_text(codes.shape)},
                {"allowed", "mlp.switch_mlp, block_sparse_moe.switch_mlp, mlp.experts"}});
    }
    require_matrix(codes);
    layer->scheme = mlx_scheme(config, layer_of(stored.stored_name(codes.name), ".weight"));
    const int64_t bits = layer->scheme.bits, group = layer->scheme.group_size;
    layer->rows = codes.shape[0];
    layer->columns = codes.shape[1] * kWordBits / bits;
    if (codes.shape[1] * kWordBits % bits != 0 || layer->columns % group != 0) {
        misfit(codes, concat("groups of ", group, " codes of ", bits, " bits"));
    }
    layer->parts.push_back(codes.name);
    add_group_parts(*layer, stored);
    return layer;
}

} // namespace

Scheme mlx_scheme(const Json& quantization, const std::string& module)
{
    const Json& own = member(quantization, module);
    if (own.is_boolean() && !own.get<bool>()) {
        fail(ErrorCode::FileCorrupt, "a layer is packed that the configuration leaves alone",
            {{"tensor", module + ".weight"},
                {"field", concat("quantization.", printable(module))}});
    }
    const Json& rule = own.is_object() ? own : quantization;
    const Mode& mode = mode_of(rule);
    Scheme scheme;
    scheme.data_type = mode.type;
    scheme.sym = mode.type != DataType::IntFloatZero;
    scheme.bits = integer_field(rule, "bits", mode.bits);
    scheme.group_size = integer_field(rule, "group_size", mode.group_size);
    check_width(mode, scheme.bits);
    const bool is_mx = mode.type == DataType::MxFp;
    if (is_mx ? scheme.group_size != kMxGroup : scheme.group_size < 1) {
        unsupported_field("group_size", std::to_string(scheme.group_size),
            is_mx ? std::to_string(kMxGroup) : "1 and more");
    }
    return scheme;
}

std::shared_ptr<const DecodedSource> open_mlx(
    const Json& quantization, std::shared_ptr<const tensor::TensorSource> stored)
{
    require_object(quantization);
    const auto single = std::make_shared<const MlxExperts>(std::move(stored));
    return std::make_shared<DecodedSource>(
        single, [&](const TensorSource&, const TensorEntry& entry) {
            return find_layer(quantization, *single, entry);
        });
}

} // namespace bitsmith::source
