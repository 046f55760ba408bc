// SPDX-License-Identifier: GPL-3.0-or-later
// The layer class of source/compressed_layer.h: how the parts are unpacked.
#pragma once

#include "source/stored_layer.h"

namespace bitsmith::source {

class CompressedLayer : public StoredLayer
{
public:
    at::Tensor load_codes(const tensor::TensorSource& stored) const override;
    LayerScales load_scales(const tensor::TensorSource& stored) const override;

    bool is_packed = false; ///< several codes in an element; the codes are P.weight_packed
    bool has_zeros = false;
    std::string scale; ///< name of the tensor

private:
    /// Numbers of rows of groups, or one for all -> [rows of groups, groups].
    at::Tensor per_group(const at::Tensor& values) const;
    at::Tensor load_zeros(const tensor::TensorSource& stored) const;
};

} // namespace bitsmith::source
