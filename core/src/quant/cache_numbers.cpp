// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/cache_numbers.h"

#include "quant/activations.h"
#include "quant/fp8_codec.h"

namespace bitsmith::quant {

namespace {

/// Of activations with the arithmetic of a cache.
const Scheme& cache_scheme()
{
    static const Scheme scheme = parse_scheme("FP8_STATIC");
    return scheme;
}

} // namespace

at::Tensor cache_scale(const at::Tensor& largest)
{
    return Fp8Codec()
        .scales(largest, activation_scheme(cache_scheme()), {}, /*wants_stored=*/true)
        .stored;
}

at::Tensor fake_quantize_cache(const at::Tensor& x, const at::Tensor& largest)
{
    return fake_quantize_activations(x, cache_scheme(), largest);
}

} // namespace bitsmith::quant
