// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <bitsmith/scheme.h>

/// A scheme of affine codes from what tests vary.
inline bitsmith::Scheme scheme_of(
    int64_t bits, int64_t group, bool sym = true, bitsmith::DataType type = bitsmith::DataType::Int)
{
    bitsmith::Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = group;
    scheme.sym = sym;
    scheme.data_type = type;
    return scheme;
}
