// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/mx_codec.h"

#include "base/text.h"
#include "quant/powers.h"
#include "quant/rounding.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::quant {

namespace {

constexpr int64_t kBias = 127; ///< of E8M0
/// E8M0 goes one lower, where 2^E is no normal fp32 number; such a group is zero for all purposes.
constexpr int64_t kLowest = -126, kHighest = 127;
/// Of a group of zeros, before the largest exponent of the grid is taken off (formats.md 1.5).
constexpr int64_t kExponentOfZero = 1;

const ElementGrid* find_grid(const Scheme& scheme)
{
    struct Row
    {
        bool is_integer;
        const ElementGrid* grid;
    };
    static constexpr Row rows[] = {
        {false, &kE2M1}, {false, &kE2M3}, {false, &kE4M3}, {true, &kFixed4}, {true, &kFixed8}};
    for (const Row& row : rows) {
        if (row.is_integer == (scheme.data_type == DataType::MxInt)
            && row.grid->bits == scheme.bits) {
            return row.grid;
        }
    }
    return nullptr;
}

/// ceil(log2 x) of positive numbers.
at::Tensor rounded_up_exponents(const at::Tensor& x)
{
    const at::Tensor exponent = exponents(x);
    const at::Tensor is_power =
        power_of_two(exponent.clamp(kLowest, kHighest), x.scalar_type()) == x.detach();
    return exponent + is_power.logical_not().to(at::kInt);
}

} // namespace

std::string MxCodec::refusal(const Scheme& scheme) const
{
    if (find_grid(scheme) == nullptr) {
        return concat("MX formats have ",
            scheme.data_type == DataType::MxInt ? "4 or 8 bits" : "4, 6 or 8 bits", ", not ",
            scheme.bits);
    }
    if (scheme.group_size < 1 || scheme.group_rows != 1) {
        return "MX formats have a scale per group of columns, 32 in every runtime";
    }
    return scheme.sym ? "" : "MX formats are symmetric";
}

const ElementGrid& MxCodec::grid(const Scheme& scheme) const
{
    const ElementGrid* grid = find_grid(scheme);
    BITSMITH_ASSERT(grid != nullptr);
    return *grid;
}

GridScales MxCodec::scales(
    const at::Tensor& largest, const Scheme& scheme, const at::Tensor&, bool wants_stored) const
{
    const ElementGrid& numbers = grid(scheme);
    const at::Tensor values = largest.detach();
    at::Tensor exponent = scheme.data_type == DataType::MxFpRceil
        ? rounded_up_exponents(values / numbers.max)
        : exponents(values) - numbers.max_exponent();
    exponent = exponent.masked_fill(values == 0, kExponentOfZero - numbers.max_exponent())
                   .clamp(kLowest, kHighest);
    GridScales result;
    const at::Tensor power = power_of_two(exponent, largest.scalar_type());
    // Straight through the rounding of the exponent, 2^E follows the magnitude in proportion.
    result.factor = pass_gradient(power, largest * at::where(values == 0, 0.0, power / values));
    if (wants_stored) {
        result.stored = (exponent + kBias).to(at::kByte);
    }
    return result;
}

at::Tensor MxCodec::factors(const QuantizedWeight& weight) const
{
    return power_of_two(weight.scales.to(at::kInt) - kBias, at::kFloat);
}

const std::vector<double>& MxCodec::trials() const
{
    static const std::vector<double> trials = {1.0, 0.5, 2.0};
    return trials;
}

std::vector<TunablePart> MxCodec::tunable_parts(const Scheme&) const
{
    return {}; // the neighbours of a power of two are its half and its double
}

} // namespace bitsmith::quant
