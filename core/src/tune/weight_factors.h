// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/Tensor.h>

namespace bitsmith::tune {

/// What the rows and columns of a weight [rows, columns] were multiplied by before it was
/// quantized; what comes before and after it takes that back.
struct WeightFactors
{
    at::Tensor columns; ///< fp32 [columns] > 0; undefined: 1
    at::Tensor rows; ///< fp32 [rows] > 0; undefined: 1

    bool defined() const { return columns.defined() || rows.defined(); }
    /// The quantized form of `weight`, in at least fp32; itself without factors.
    at::Tensor apply(const at::Tensor& weight) const;
    /// The original form of a weight in its quantized one.
    at::Tensor undo(const at::Tensor& weight) const;
};

/// The parts of WeightFactors by name, in the order they are stored in.
struct FactorPart
{
    const char* name;
    at::Tensor WeightFactors::*tensor;
};
inline constexpr FactorPart kFactorParts[] = {
    {"column_factors", &WeightFactors::columns},
    {"row_factors", &WeightFactors::rows},
};

} // namespace bitsmith::tune
