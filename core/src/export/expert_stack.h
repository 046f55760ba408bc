// SPDX-License-Identifier: GPL-3.0-or-later
// Experts for formats that hold a matrix of all experts of a block as one tensor, [experts, out,
// in], whatever the storage of the source. Source: formats.md 6.6 item 5, 8.
#pragma once

#include "export/exporter.h"
#include "model/expert_storage.h"

#include <c10/core/ScalarType.h>

#include <set>
#include <string>
#include <vector>

namespace bitsmith::exporting {

struct ExpertStack
{
    int64_t block = 0;
    model::ExpertMatrix matrix = model::ExpertMatrix::Gate;
    std::vector<std::string> layers; ///< one per expert, in order
    int64_t rows = 0, columns = 0; ///< of one expert
    bool has_bias = false;

    int64_t experts() const { return static_cast<int64_t>(layers.size()); }
};

/// Gate, up and down of every block with experts.
std::vector<ExpertStack> expert_stacks(const model::DecoderSpec& spec);

/// Names of all tensors of the source that hold experts.
std::set<std::string, std::less<>> expert_tensors(const model::DecoderSpec& spec);

/// The scheme of all experts. Throws UnsupportedScheme naming a layer that has another than the
/// first, MissingTensor for one that is not planned.
const Scheme& stack_scheme(const Plan& plan, const ExpertStack& stack);

/// Element type of the experts in the source, or the model's where that is no floating point type.
c10::ScalarType stack_type(const source::ModelSource& model, const ExpertStack& stack);
/// Values of the source in that type: [experts, out, in], and [experts, out].
at::Tensor stack_weights(const source::ModelSource& model, const ExpertStack& stack);
at::Tensor stack_biases(const source::ModelSource& model, const ExpertStack& stack);

} // namespace bitsmith::exporting
