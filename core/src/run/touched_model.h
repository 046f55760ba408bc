// SPDX-License-Identifier: GPL-3.0-or-later
// The model of a run whose norms were smoothed or touched up.
#pragma once

#include "run/run_folder.h"
#include "source/model_source.h"

namespace bitsmith {

/// `model` with the norms that `folder` holds in place of its own; `model` itself when there are none.
/// Reads of all other tensors go to `model`. Throws FileCorrupt for a norm of another shape or element
/// type.
std::shared_ptr<const source::ModelSource> touched_model(
    const std::shared_ptr<const source::ModelSource>& model, const RunFolder& folder);

} // namespace bitsmith
