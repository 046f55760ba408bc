// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/layer_parts.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <ATen/core/Tensor.h>

namespace bitsmith::source {

using tensor::TensorEntry;

int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0 ? 1 : 0);
}

void misfit(const TensorEntry& entry, const std::string& allowed)
{
    fail(ErrorCode::FileCorrupt, "a tensor of a quantized layer does not fit the others",
        {{"tensor", entry.name}, {"found", concat(entry.dtype, " ", shape_text(entry.shape))},
            {"allowed", allowed}});
}

const TensorEntry& part(const tensor::TensorSource& stored, const std::string& name)
{
    const TensorEntry* entry = stored.find(name);
    if (entry == nullptr) {
        fail(ErrorCode::MissingTensor, "a quantized layer is incomplete", {{"tensor", name}});
    }
    return *entry;
}

void require(const TensorEntry& entry, std::string_view dtype, const std::vector<int64_t>& shape)
{
    if (entry.dtype != dtype || entry.shape != shape) {
        misfit(entry, concat(dtype, " ", shape_text(shape)));
    }
}

void require_matrix(const TensorEntry& entry)
{
    if (entry.shape.size() != 2 || entry.shape[0] < 1 || entry.shape[1] < 1) {
        misfit(entry, "two dimensions");
    }
}

bool is_plain_float(const TensorEntry& entry)
{
    return entry.dtype == "F16" || entry.dtype == "BF16" || entry.dtype == "F32";
}

std::string layer_of(std::string_view name, std::string_view ending)
{
    return name.ends_with(ending) ? std::string(name.substr(0, name.size() - ending.size()))
                                  : std::string();
}

} // namespace bitsmith::source
