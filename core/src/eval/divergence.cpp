// SPDX-License-Identifier: GPL-3.0-or-later
#include "eval/divergence.h"

#include "base/text.h"
#include "calib/text_source.h"
#include "tensor/safetensors_reader.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bitsmith::eval {

namespace {

/// Windows that go through a block together: enough rows for full matrix products, few enough to stay in cache.
constexpr int64_t kTokensPerBatch = 2048;
/// Positions whose logits exist at one time.
constexpr int64_t kPositionsPerChunk = 64;

int64_t windows_per_batch(int64_t tokens)
{
    return std::max<int64_t>(1, kTokensPerBatch / tokens);
}

struct Sums
{
    double nll = 0, nll_reference = 0, agree = 0;
    std::vector<float> kld;
    int64_t positions = 0;
};

void add_chunk(Sums& sums, const at::Tensor& log_p, const at::Tensor& log_p_reference,
    const at::Tensor& targets)
{
    const auto nll = [&](const at::Tensor& log_probability) {
        return -log_probability.gather(1, targets.unsqueeze(1))
                    .to(at::kDouble)
                    .sum()
                    .item<double>();
    };
    sums.positions += targets.size(0);
    sums.nll += nll(log_p);
    if (!log_p_reference.defined()) {
        return;
    }
    sums.nll_reference += nll(log_p_reference);
    sums.agree += log_p.argmax(1).eq(log_p_reference.argmax(1)).sum().item<double>();
    // In double: the terms of a small divergence cancel to many digits.
    const at::Tensor reference = log_p_reference.to(at::kDouble);
    const at::Tensor kld = (reference.exp() * (reference - log_p.to(at::kDouble)))
                               .sum(1)
                               .clamp_min(0)
                               .to(at::kFloat)
                               .cpu()
                               .contiguous();
    sums.kld.insert(sums.kld.end(), kld.data_ptr<float>(), kld.data_ptr<float>() + kld.numel());
}

at::Tensor log_probabilities(
    const Measured& measured, const at::Tensor& flat, int64_t from, int64_t to)
{
    return measured.model
        ->logits(flat.slice(0, from, to)
                     .to(measured.model->options().device())
                     .to(measured.model->options().dtype()))
        .to(at::kFloat)
        .log_softmax(-1);
}

/// Hidden states of all predicting positions [n, hidden].
at::Tensor predicting(const at::Tensor& hidden)
{
    return hidden.slice(1, 0, hidden.size(1) - 1).reshape({-1, hidden.size(2)});
}

void fill_divergence(EvalReport& report, Sums& sums)
{
    std::sort(sums.kld.begin(), sums.kld.end());
    double total = 0;
    for (const float value : sums.kld) {
        total += value;
    }
    const auto n = static_cast<double>(sums.positions);
    const auto rank = static_cast<std::size_t>(std::ceil(0.99 * n)) - 1;
    report.ppl_reference = std::exp(sums.nll_reference / n);
    report.kld_mean = total / n;
    report.kld_p99 = sums.kld[rank];
    report.kld_max = sums.kld.back();
    report.top1_agreement = sums.agree / n;
}

} // namespace

at::Tensor run_blocks(RunContext& context, const model::CausalLm& model, const at::Tensor& ids,
    const BlockProvider& blocks, int64_t done, int64_t total, Stage stage)
{
    at::NoGradGuard no_grad;
    const int64_t batch = windows_per_batch(ids.size(1));
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : ids.split(batch, 0)) {
        parts.push_back(model.embed(part).cpu());
    }
    model.release_embedding();
    const model::BlockShared shared = model.shared(ids.size(1));
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        const auto block = blocks(i);
        for (at::Tensor& part : parts) {
            context.checkpoint();
            part = block->forward(part.to(model.options().device()), shared).cpu();
        }
        context.events.emit(StageProgress{stage, done + i + 1, total, "blocks"});
    }
    return at::cat(parts, 0);
}

EvalReport compare(RunContext& context, const Measured& candidate, const Measured& reference,
    const at::Tensor& ids)
{
    at::NoGradGuard no_grad;
    const at::Tensor targets = ids.slice(1, 1, ids.size(1)).reshape({-1});
    const at::Tensor hidden = predicting(candidate.hidden);
    const at::Tensor reference_hidden =
        reference.model != nullptr ? predicting(reference.hidden) : at::Tensor();
    Sums sums;
    for (int64_t from = 0; from < hidden.size(0); from += kPositionsPerChunk) {
        context.checkpoint();
        const int64_t to = std::min(from + kPositionsPerChunk, hidden.size(0));
        const at::Tensor log_p = log_probabilities(candidate, hidden, from, to);
        const at::Tensor log_p_reference = reference.model != nullptr
            ? log_probabilities(reference, reference_hidden, from, to)
            : at::Tensor();
        if (log_p_reference.defined() && log_p_reference.size(1) != log_p.size(1)) {
            fail(ErrorCode::ShapeMismatch, "the two models have different vocabularies",
                {{"reference", std::to_string(log_p_reference.size(1))},
                    {"model", std::to_string(log_p.size(1))}});
        }
        add_chunk(sums, log_p, log_p_reference, targets.slice(0, from, to).to(log_p.device()));
    }
    EvalReport report;
    report.tokens = sums.positions;
    report.seqlen = ids.size(1);
    report.ppl = std::exp(sums.nll / static_cast<double>(sums.positions));
    if (reference.model != nullptr) {
        fill_divergence(report, sums);
    }
    return report;
}

at::Tensor evaluation_windows(const EvalText& source, const hf::TextSide* text)
{
    if (source.file.ends_with(".safetensors")) {
        const tensor::SafetensorsReader reader(map_file(source.file));
        const at::Tensor ids = reader.load("input_ids").to(at::kLong).contiguous();
        if (ids.dim() != 2 || ids.size(0) < 1 || ids.size(1) < 2) {
            fail(ErrorCode::ShapeMismatch, "these are not windows of tokens",
                {{"file", source.file}, {"tensor", "input_ids"}, {"found", concat(ids.sizes())},
                    {"allowed", "[1 or more windows, 2 or more tokens]"}});
        }
        return ids;
    }
    BITSMITH_ASSERT(text != nullptr);
    std::vector<int32_t> tokens;
    const int64_t windows = std::max<int64_t>(1, source.tokens / source.seqlen);
    const int64_t body = source.seqlen - (text->bos ? 1 : 0);
    for (const calib::Document& document : calib::read_documents(source.file)) {
        // Tokenizing far more than is used costs seconds; four bytes a token is a safe lower bound for text.
        const auto bytes = static_cast<std::size_t>(windows * source.seqlen * 16);
        std::string part = document.text.substr(0, bytes);
        while (!part.empty() && calib::first_bad_byte(part) >= 0) {
            part.pop_back();
        }
        const auto ids = text->tokenizer.encode(part, false);
        tokens.insert(tokens.end(), ids.begin(), ids.end());
        if (static_cast<int64_t>(tokens.size()) >= windows * body) {
            break;
        }
    }
    const int64_t found = std::min(windows, static_cast<int64_t>(tokens.size()) / body);
    if (found == 0) {
        fail(ErrorCode::InvalidSpec, "the evaluation text is shorter than one window",
            {{"file", source.file}, {"found", concat(tokens.size(), " tokens")},
                {"needed", concat(source.seqlen, " tokens")}},
            "Lower --seqlen or name a longer text");
    }
    at::Tensor ids = at::empty({found, source.seqlen}, at::kLong);
    for (int64_t w = 0; w < found; ++w) {
        auto* out = ids.data_ptr<int64_t>() + w * source.seqlen;
        if (text->bos) {
            *out++ = *text->bos;
        }
        std::copy_n(tokens.begin() + w * body, body, out);
    }
    return ids;
}

} // namespace bitsmith::eval
