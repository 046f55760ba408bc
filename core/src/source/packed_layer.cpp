// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/packed_layer.h"

#include "base/text.h"
#include "source/config_fields.h"
#include "source/layer_parts.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;
using tensor::TensorSource;
using tensor::ZeroOffset;

class PackedLayer : public StoredLayer
{
public:
    explicit PackedLayer(const PackedRule& rule)
        : rule_(rule)
    { }

    at::Tensor load_codes(const TensorSource& stored) const override
    {
        const at::Tensor words = stored.load(name + ".qweight");
        return rule_.order == PackedOrder::Awq ? tensor::unpack_awq(words)
                                               : tensor::unpack_gptq_codes(words, rule_.bits);
    }
    LayerScales load_scales(const TensorSource& stored) const override
    {
        LayerScales result;
        result.scales = stored.load(name + ".scales").t().contiguous();
        const at::Tensor words = stored.load(name + ".qzeros");
        result.zeros = rule_.order == PackedOrder::Awq
            ? tensor::unpack_awq(words)
            : tensor::unpack_gptq_zeros(words, rule_.bits, ZeroOffset::Plain);
        result.zeros = result.zeros.to(at::kShort);
        if (rule_.offset == ZeroOffset::MinusOne) {
            result.zeros.add_(1);
        }
        if (rule_.order == PackedOrder::Gptq && stored.find(name + ".g_idx") != nullptr) {
            result.group_of = load_order(stored, result.scales.size(1));
        }
        return result;
    }

private:
    at::Tensor load_order(const TensorSource& stored, int64_t groups) const
    {
        const at::Tensor order = stored.load(name + ".g_idx").to(at::kLong);
        const int64_t low = order.min().item<int64_t>(), high = order.max().item<int64_t>();
        if (low < 0 || high >= groups) {
            fail(ErrorCode::FileCorrupt, "a column belongs to a group that does not exist",
                {{"tensor", name + ".g_idx"}, {"found", std::to_string(low < 0 ? low : high)},
                    {"allowed", concat("0 to ", groups - 1)}});
        }
        return order;
    }

    PackedRule rule_;
};

/// [rows, columns] of the weight, from its words.
void measure(StoredLayer& layer, const PackedRule& rule, const TensorEntry& codes)
{
    const int64_t words = codes.shape[rule.order == PackedOrder::Gptq ? 0 : 1];
    const int64_t other = codes.shape[rule.order == PackedOrder::Gptq ? 1 : 0];
    if (words * kWordBits % rule.bits != 0) {
        misfit(codes, concat("whole runs of ", rule.bits, "-bit codes"));
    }
    const int64_t packed = words * kWordBits / rule.bits;
    layer.rows = rule.order == PackedOrder::Gptq ? other : packed;
    layer.columns = rule.order == PackedOrder::Gptq ? packed : other;
}

/// A group size that a scheme can hold, and that leaves one group in rows shorter than it.
int64_t checked_group_size(const StoredLayer& layer, const PackedRule& rule)
{
    if (rule.group_size < 1 && rule.group_size != kGroupPerRow) {
        fail(ErrorCode::UnsupportedFormat, "this quantized checkpoint cannot be read",
            {{"layer", layer.name}, {"field", "group_size"},
                {"found", std::to_string(rule.group_size)}, {"allowed", "-1, 1 and more"}});
    }
    return rule.group_size > layer.columns ? kGroupPerRow : rule.group_size;
}

void check_parts(StoredLayer& layer, const PackedRule& rule, const TensorSource& stored)
{
    const int64_t groups = quant::group_count(layer.scheme, layer.columns);
    const TensorEntry& scales = part(stored, layer.name + ".scales");
    const std::vector<int64_t> shape = {groups, layer.rows};
    if (!is_plain_float(scales) || scales.shape != shape) {
        misfit(scales, concat("F16, BF16 or F32 ", shape_text(shape)));
    }
    const TensorEntry& zeros = part(stored, layer.name + ".qzeros");
    if (layer.rows * rule.bits % kWordBits != 0) {
        misfit(zeros, concat("whole words of ", layer.rows, " zero points"));
    }
    require(zeros, "I32", {groups, layer.rows * rule.bits / kWordBits});
    layer.parts = {layer.name + ".qweight", zeros.name, scales.name};
    if (rule.order == PackedOrder::Awq) {
        if (layer.columns % quant::group_width(layer.scheme, layer.columns) != 0) {
            misfit(scales, "whole groups");
        }
        return;
    }
    if (const TensorEntry* order = stored.find(layer.name + ".g_idx")) {
        require(*order, "I32", {layer.columns});
        layer.parts.push_back(order->name);
    }
}

std::unique_ptr<const StoredLayer> find_packed_layer(
    const TensorSource& stored, const std::string& name, const PackedRule& rule)
{
    const bool is_width =
        rule.order == PackedOrder::Awq ? rule.bits == 4 : tensor::is_packable_width(rule.bits);
    if (!is_width) {
        fail(ErrorCode::UnsupportedFormat, "codes of this width cannot be unpacked",
            {{"tensor", name + ".qweight"}, {"found", concat(rule.bits, " bits")},
                {"allowed", rule.order == PackedOrder::Awq ? "4" : "2, 3, 4, 8"}});
    }
    const TensorEntry& codes = part(stored, name + ".qweight");
    require_matrix(codes);
    require(codes, "I32", codes.shape);
    auto layer = std::make_unique<PackedLayer>(rule);
    layer->name = name;
    measure(*layer, rule, codes);
    layer->scheme.bits = rule.bits;
    layer->scheme.group_size = checked_group_size(*layer, rule);
    layer->scheme.sym = rule.sym;
    check_parts(*layer, rule, stored);
    return layer;
}

} // namespace

PackedRule with_fields(const Json& values, PackedRule rule)
{
    rule.bits = integer_field(values, "bits", rule.bits);
    rule.group_size = integer_field(values, "group_size", rule.group_size);
    rule.sym = flag_field(values, "sym", rule.sym);
    return rule;
}

std::shared_ptr<const DecodedSource> open_packed(std::shared_ptr<const TensorSource> stored,
    const std::function<PackedRule(const std::string& layer)>& rule_of, CacheRule cache)
{
    return std::make_shared<DecodedSource>(
        std::move(stored),
        [&](const TensorSource& tensors,
            const TensorEntry& entry) -> std::unique_ptr<const StoredLayer> {
            const std::string layer = layer_of(entry.name, ".qweight");
            return layer.empty() ? nullptr : find_packed_layer(tensors, layer, rule_of(layer));
        },
        std::move(cache));
}

} // namespace bitsmith::source
