// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/weight_check.h"

#include "base/text.h"
#include "tensor/finite.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith {

namespace {

/// Whether the layer of a tensor is named in full; a broad pattern must not hide damage.
bool is_kept(std::string_view tensor, const std::vector<std::string>& keep)
{
    const std::string_view layer = tensor.substr(0, tensor.rfind('.'));
    return std::find(keep.begin(), keep.end(), layer) != keep.end();
}

} // namespace

void require_finite_weights(
    RunContext& context, const tensor::TensorSource& tensors, const std::vector<std::string>& keep)
{
    constexpr std::size_t kShown = 5;
    const auto& entries = tensors.entries();
    std::vector<std::string> bad;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        context.checkpoint();
        const std::string& name = entries[i].name;
        const int64_t count = tensor::count_non_finite(tensors.load(name));
        if (count > 0 && is_kept(name, keep)) {
            context.events.warn("not_finite",
                concat(name, " holds ", count,
                    " NaN or infinite values; it stays as it is, as 'keep' asks"));
        } else if (count > 0) {
            bad.push_back(concat(name, " (", count, ")"));
        }
        context.events.emit(StageProgress{Stage::Load, static_cast<int64_t>(i + 1),
            static_cast<int64_t>(entries.size()), "tensors"});
    }
    if (bad.empty()) {
        return;
    }
    fail(ErrorCode::NumericFailure, "the model's weights hold NaN or infinite values",
        {{"tensors", concat(bad.size())}, {"found", some_of(bad, kShown)}},
        "The file is damaged or training diverged; fetch it again or take another checkpoint. To "
        "go on all the same, name the layers in full with --keep");
}

} // namespace bitsmith
