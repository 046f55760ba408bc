// SPDX-License-Identifier: GPL-3.0-or-later
// Which codec serves which data type.
#include "base/text.h"
#include "quant/affine_codec.h"
#include "quant/codec.h"
#include "quant/double_codec.h"
#include "quant/fp8_codec.h"
#include "quant/mx_codec.h"
#include "quant/nv_codec.h"

#include <bitsmith/error.h>

#include <array>
#include <utility>

namespace bitsmith::quant {

namespace {

/// Null for types that are not quantized.
const Codec* find_codec(DataType type)
{
    static const AffineCodec affine;
    static const DoubleCodec k_types;
    static const Fp8Codec fp8;
    static const MxCodec mx;
    static const NvCodec nv(true), nv_e5m3(false);
    static const std::array<std::pair<DataType, const Codec*>, 10> codecs = {{
        {DataType::Int, &affine},
        {DataType::IntFloatZero, &affine},
        {DataType::IntDouble, &k_types},
        {DataType::MxFp, &mx},
        {DataType::MxFpRceil, &mx},
        {DataType::MxInt, &mx},
        {DataType::NvFp, &nv},
        {DataType::NvFpE5m3, &nv_e5m3},
        {DataType::Fp8, &fp8},
        {DataType::Fp8E5m2, &fp8},
    }};
    for (const auto& [data_type, codec] : codecs) {
        if (data_type == type) {
            return codec;
        }
    }
    return nullptr;
}

std::string refusal_of_weights(const Scheme& scheme)
{
    const Codec* codec = find_codec(scheme.data_type);
    return codec == nullptr ? concat("there are no codes of type ", enum_name(scheme.data_type))
                            : codec->refusal(scheme);
}

} // namespace

std::string scheme_refusal(const Scheme& scheme)
{
    if (!scheme.is_quantized()) {
        return scheme.quantizes_activations() ? "activations are quantized together with weights"
                                              : "";
    }
    std::string reason = refusal_of_weights(scheme);
    if (!reason.empty() || !scheme.quantizes_activations()) {
        return reason;
    }
    reason = refusal_of_weights(activation_scheme(scheme));
    if (reason.empty() && !scheme.act_dynamic
        && (scheme.act_data_type != DataType::Fp8 || scheme.act_group_size != kGroupPerTensor)) {
        reason = "static scales of activations stand once per tensor, as FP8";
    }
    return reason.empty() ? reason : concat("activations: ", reason);
}

bool has_tensor_scale(const Scheme& scheme)
{
    return scheme.data_type == DataType::NvFp;
}

const GridCodec* find_grid_codec(const Scheme& scheme)
{
    return dynamic_cast<const GridCodec*>(find_codec(scheme.data_type));
}

const Codec& codec_for(const Scheme& scheme)
{
    const std::string reason =
        scheme.is_quantized() ? scheme_refusal(scheme) : "the scheme does not quantize";
    if (!reason.empty()) {
        fail(ErrorCode::UnsupportedScheme, reason,
            {{"field", "scheme"}, {"found", scheme_name(scheme)}});
    }
    return *find_codec(scheme.data_type);
}

} // namespace bitsmith::quant
