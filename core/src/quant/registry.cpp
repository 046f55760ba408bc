// SPDX-License-Identifier: GPL-3.0-or-later
// Which codec serves which data type.
#include "quant/codec.h"
#include "quant/float_zero_codec.h"
#include "quant/int_codec.h"

#include <bitsmith/error.h>

#include <array>
#include <utility>

namespace bitsmith::quant {

const Codec& codec_for(const Scheme& scheme)
{
    static const IntCodec int_codec;
    static const FloatZeroCodec float_zero_codec;
    static const std::array<std::pair<DataType, const Codec*>, 2> codecs = {{
        {DataType::Int, &int_codec},
        {DataType::IntFloatZero, &float_zero_codec},
    }};
    for (const auto& [data_type, codec] : codecs) {
        if (data_type != scheme.data_type) {
            continue;
        }
        const std::string reason = codec->refusal(scheme);
        if (!reason.empty()) {
            fail(ErrorCode::UnsupportedScheme, reason, {{"field", "scheme"}});
        }
        return *codec;
    }
    fail(ErrorCode::UnsupportedScheme, "there is no codec for this data type",
        {{"field", "scheme.data_type"}, {"found", std::string(enum_name(scheme.data_type))},
            {"allowed", "int, int_float_zero"}});
}

} // namespace bitsmith::quant
