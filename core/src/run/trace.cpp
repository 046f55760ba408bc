// SPDX-License-Identifier: GPL-3.0-or-later
// `trace`: hidden states of every block and the logits, for comparisons with other programs.
#include "base/file_ops.h"
#include "run/runtime_model.h"
#include "tensor/device.h"
#include "tensor/safetensors_writer.h"

#include <bitsmith/job.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith {

namespace {

at::Tensor trace_ids(const TraceOptions& options, const source::ModelSource& source)
{
    std::vector<int64_t> ids = options.ids;
    if (ids.empty()) {
        const std::vector<int32_t> encoded =
            source.load_text().tokenizer.encode(options.text, true);
        ids.assign(encoded.begin(), encoded.end());
    }
    if (ids.empty()) {
        fail(ErrorCode::InvalidSpec, "there are no tokens to trace", {{"field", "ids"}},
            "give token ids or a text");
    }
    return at::tensor(ids, at::kLong);
}

} // namespace

void trace(const TraceOptions& options, RunControl control)
{
    const at::NoGradGuard no_grad;
    tensor::set_up_cpu(options.threads);
    const auto source = source::open_model(options.model);
    const at::Tensor ids = trace_ids(options, *source);
    model::CausalLm model(source->spec, source->tensors, at::kFloat);
    put_runtime_head(model, *source);
    const model::BlockShared shared = model.shared(ids.size(0));
    at::Tensor hidden = model.embed(ids.unsqueeze(0));
    std::vector<std::pair<std::string, at::Tensor>> tensors{{"input_ids", ids}};
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        control.checkpoint();
        hidden = load_runtime_block(model, *source, i)->forward(hidden, shared);
        tensors.emplace_back("block." + std::to_string(i), hidden.squeeze(0));
    }
    tensors.emplace_back("logits", model.logits(hidden).squeeze(0));
    tensor::publish_safetensors(
        disk(), options.output, tensors, {{"format", "pt"}, {"model", options.model}});
}

} // namespace bitsmith
