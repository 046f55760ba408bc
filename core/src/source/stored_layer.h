// SPDX-License-Identifier: GPL-3.0-or-later
// One quantized layer of a checkpoint. A method says which tensors belong to it and unpacks them;
// what they mean, and whether one of our codecs holds them, is the same for all methods.
#pragma once

#include "quant/codec.h"
#include "tensor/tensor_source.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitsmith::source {

/// What stands beside the codes, in the element types of the file.
struct LayerScales
{
    /// [rows, groups]; of tiles [rows of tiles, groups], per tensor [1, 1]. Floating point, or
    /// bytes: UE5M3 of NvFpE5m3, otherwise E8M0.
    at::Tensor scales;
    /// [rows, groups]: int16 zero points of Int (undefined: 2^(bits-1)), minima of IntFloatZero.
    at::Tensor zeros;
    at::Tensor super_scales; ///< fp32 [1], the divisor of NvFp
    /// int64 [columns]: the group of each column, where the file lists it; undefined: consecutive.
    at::Tensor group_of;
};

/// Constructed by a method that has checked shapes and types of all parts. Immutable afterwards.
class StoredLayer
{
public:
    virtual ~StoredLayer() = default;
    /// uint8 [rows, columns] as in quant::QuantizedWeight; numbers of 8 bits keep their float8
    /// type.
    virtual at::Tensor load_codes(const tensor::TensorSource& stored) const = 0;
    /// Throws FileCorrupt for values out of range.
    virtual LayerScales load_scales(const tensor::TensorSource& stored) const = 0;

    std::string name; ///< P
    int64_t rows = 0, columns = 0; ///< of the weight
    Scheme scheme; ///< `sym` as the configuration says; inputs: see source/runtime_rounding.h
    /// Why inputs stay as they are here although runtimes round them; empty: the scheme says all.
    std::string other_inputs;
    std::vector<std::string> parts; ///< tensors that P.weight stands for, the codes first
};

using StoredLayers = std::map<std::string, std::unique_ptr<const StoredLayer>, std::less<>>;

/// "INT4", "FP8", "MXFP4" ...
std::string layer_word(const Scheme& scheme);

/// fp32 [rows, columns] = scale * (element - zero), scale * code + minimum for IntFloatZero.
at::Tensor decode_layer(const StoredLayer& layer, const tensor::TensorSource& stored);

/// The scheme whose codec holds the layer exactly; empty when there is none. Reads no codes.
std::optional<Scheme> exact_scheme(const StoredLayer& layer, const tensor::TensorSource& stored);

/// The layer under a scheme that exact_scheme gave. Throws FileCorrupt for FP8 codes that are not
/// numbers, and what largest_input of source/runtime_rounding.h throws.
quant::QuantizedWeight quantized_weight(
    const StoredLayer& layer, const Scheme& scheme, const tensor::TensorSource& stored);

} // namespace bitsmith::source
