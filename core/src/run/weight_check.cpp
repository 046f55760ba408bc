// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/weight_check.h"

#include "base/text.h"
#include "tensor/finite.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith {

void require_finite_weights(RunContext& context, const tensor::TensorSource& tensors)
{
    constexpr std::size_t kShown = 5;
    const auto& entries = tensors.entries();
    std::vector<std::string> bad;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        context.checkpoint();
        const std::string& name = entries[i].name;
        if (const int64_t count = tensor::count_non_finite(tensors.load(name)); count > 0) {
            bad.push_back(concat(name, " (", count, ")"));
        }
        context.events.emit(StageProgress{Stage::Load, static_cast<int64_t>(i + 1),
            static_cast<int64_t>(entries.size()), "tensors"});
    }
    if (bad.empty()) {
        return;
    }
    const std::size_t n_bad = bad.size();
    bad.resize(std::min(n_bad, kShown));
    fail(ErrorCode::NumericFailure, "the model's weights hold NaN or infinite values",
        {{"tensors", concat(n_bad)}, {"found", join(bad, ", ")}},
        "The file is damaged or training diverged; fetch it again or take another checkpoint");
}

} // namespace bitsmith
