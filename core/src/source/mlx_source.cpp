// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/mlx_source.h"

#include "base/text.h"
#include "source/config_fields.h"
#include "source/layer_parts.h"
#include "tensor/bit_pack.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;
using tensor::TensorSource;

constexpr std::array<int64_t, 6> kWidths = {2, 3, 4, 5, 6, 8};

class MlxLayer : public StoredLayer
{
public:
    at::Tensor load_codes(const TensorSource& stored) const override
    {
        return tensor::unpack_stream(stored.load(name + ".weight"), scheme.bits);
    }
    LayerScales load_scales(const TensorSource& stored) const override
    {
        LayerScales result;
        result.scales = stored.load(name + ".scales");
        result.zeros = stored.load(name + ".biases");
        return result;
    }
};

/// The common values, or those of layer `name` where it has its own.
Scheme scheme_for(const Json& config, const TensorEntry& codes, const std::string& name)
{
    const Json& own = member(config, name);
    if (own.is_boolean() && !own.get<bool>()) {
        fail(ErrorCode::FileCorrupt, "a layer is packed that the configuration leaves alone",
            {{"tensor", codes.name}, {"field", concat("quantization.", printable(name))}});
    }
    for (const Json* values : {&config, &own}) {
        if (const std::string mode = text_field(*values, "mode", "affine"); mode != "affine") {
            unsupported_field("mode", mode, "affine");
        }
    }
    Scheme scheme;
    scheme.data_type = DataType::IntFloatZero;
    scheme.sym = false;
    scheme.bits = integer_field(own, "bits", integer_field(config, "bits", 0));
    scheme.group_size = integer_field(own, "group_size", integer_field(config, "group_size", 0));
    if (std::find(kWidths.begin(), kWidths.end(), scheme.bits) == kWidths.end()) {
        unsupported_field("bits", std::to_string(scheme.bits), "2, 3, 4, 5, 6, 8");
    }
    if (scheme.group_size < 1) {
        unsupported_field("group_size", std::to_string(scheme.group_size), "1 and more");
    }
    return scheme;
}

std::unique_ptr<const StoredLayer> find_layer(
    const Json& config, const TensorSource& stored, const TensorEntry& codes)
{
    auto layer = std::make_unique<MlxLayer>();
    layer->name = layer_of(codes.name, ".weight");
    if (layer->name.empty() || codes.dtype != "U32") {
        return nullptr;
    }
    if (codes.shape.size() == 3) {
        fail(ErrorCode::UnsupportedFormat, "stacked experts of MLX cannot be read",
            {{"tensor", codes.name}, {"found", shape_text(codes.shape)},
                {"allowed", "one matrix per expert"}});
    }
    require_matrix(codes);
    layer->scheme = scheme_for(config, codes, layer->name);
    const int64_t bits = layer->scheme.bits, group = layer->scheme.group_size;
    layer->rows = codes.shape[0];
    layer->columns = codes.shape[1] * kWordBits / bits;
    if (codes.shape[1] * kWordBits % bits != 0 || layer->columns % group != 0) {
        misfit(codes, concat("groups of ", group, " codes of ", bits, " bits"));
    }
    layer->parts.push_back(codes.name);
    for (const char* ending : {".scales", ".biases"}) {
        const TensorEntry& entry = part(stored, layer->name + ending);
        const std::vector<int64_t> shape = {layer->rows, layer->columns / group};
        if (!is_plain_float(entry) || entry.shape != shape) {
            misfit(entry, concat("F16, BF16 or F32 ", shape_text(shape)));
        }
        layer->parts.push_back(entry.name);
    }
    return layer;
}

} // namespace

std::shared_ptr<const DecodedSource> open_mlx(
    const Json& quantization, std::shared_ptr<const tensor::TensorSource> stored)
{
    require_object(quantization);
    return std::make_shared<DecodedSource>(
        std::move(stored), [&](const TensorSource& tensors, const TensorEntry& entry) {
            return find_layer(quantization, tensors, entry);
        });
}

} // namespace bitsmith::source
