// SPDX-License-Identifier: GPL-3.0-or-later
#include "eval/generator.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace bitsmith::eval {

namespace {

constexpr uint64_t kRowsPerStream = uint64_t{1} << 20;

void check_options(const SamplingOptions& options)
{
    const auto require = [](bool holds, const char* field, double found, const char* allowed) {
        if (!holds) {
            fail(ErrorCode::InvalidSpec, "a generation option is out of range",
                {{"field", field}, {"found", std::to_string(found)}, {"allowed", allowed}});
        }
    };
    require(std::isfinite(options.temperature) && options.temperature >= 0, "temperature",
        options.temperature, "0 or more");
    require(options.top_k >= 0, "top_k", static_cast<double>(options.top_k), "0 or more");
    require(options.top_p > 0 && options.top_p <= 1, "top_p", options.top_p, "above 0, at most 1");
    require(options.max_tokens >= 0, "max_tokens", static_cast<double>(options.max_tokens),
        "0 or more");
}

bool contains(const std::vector<int32_t>& ids, int32_t id)
{
    return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// Position of the token in `probabilities` [n] at which the running sum passes a uniform draw.
int64_t draw_position(const at::Tensor& probabilities, double total, Random& random)
{
    const auto* p = probabilities.data_ptr<float>();
    const double target = random.uniform() * total;
    double sum = 0;
    int64_t last_possible = 0;
    for (int64_t i = 0; i < probabilities.numel(); ++i) {
        sum += p[i];
        if (p[i] > 0) {
            last_possible = i;
        }
        if (sum > target) {
            return i;
        }
    }
    return last_possible; // rounding: the sum stayed below the total
}

/// Number of leading entries of descending `probabilities` whose sum reaches `top_p`.
int64_t nucleus_size(const at::Tensor& probabilities, double top_p)
{
    const auto* p = probabilities.data_ptr<float>();
    double sum = 0;
    for (int64_t i = 0; i < probabilities.numel(); ++i) {
        sum += p[i];
        if (sum >= top_p) {
            return i + 1;
        }
    }
    return probabilities.numel();
}

} // namespace

int32_t draw_token(const at::Tensor& logits, const SamplingOptions& options, Random& random)
{
    if (options.temperature == 0) {
        return static_cast<int32_t>(logits.argmax().item<int64_t>());
    }
    at::Tensor scores = logits / options.temperature;
    at::Tensor ids; // undefined: position and id are the same
    if (options.top_k > 0 && options.top_k < scores.numel()) {
        std::tie(scores, ids) = scores.topk(options.top_k);
    } else if (options.top_p < 1) {
        std::tie(scores, ids) = scores.sort(0, /*descending=*/true);
    }
    at::Tensor probabilities = scores.softmax(0).contiguous();
    if (options.top_p < 1) {
        probabilities = probabilities.narrow(0, 0, nucleus_size(probabilities, options.top_p));
    }
    const double total = probabilities.sum(at::kDouble).item<double>();
    const int64_t position = draw_position(probabilities, total, random);
    return static_cast<int32_t>(ids.defined() ? ids[position].item<int64_t>() : position);
}

/// Rows that are still being answered. Shorter prompts are padded on the left: all families here
/// have relative positions, so a row only needs its padding hidden.
struct Generator::Batch
{
    std::vector<std::size_t> rows; ///< index of each row's prompt
    at::Tensor padding; ///< int64 [rows]: padding tokens before each prompt; undefined: none at all
    std::vector<model::KvCache> caches; ///< one per block
    int64_t past = 0;

    /// Takes one row per prompt; returns the padded ids [rows, longest prompt].
    at::Tensor begin(const std::vector<std::vector<int32_t>>& prompts)
    {
        std::size_t longest = 0;
        for (const auto& prompt : prompts) {
            if (prompt.empty()) {
                fail(ErrorCode::InvalidSpec, "a prompt has no tokens",
                    {{"prompt", std::to_string(&prompt - prompts.data())}});
            }
            longest = std::max(longest, prompt.size());
        }
        const std::vector<int64_t> shape{
            static_cast<int64_t>(prompts.size()), static_cast<int64_t>(longest)};
        at::Tensor ids = at::zeros(shape, at::kLong);
        auto* out = ids.data_ptr<int64_t>();
        std::vector<int64_t> before;
        for (const auto& prompt : prompts) {
            rows.push_back(rows.size());
            before.push_back(static_cast<int64_t>(longest - prompt.size()));
            std::copy(prompt.begin(), prompt.end(), out + before.back());
            out += longest;
        }
        if (std::any_of(before.begin(), before.end(), [](int64_t n) { return n > 0; })) {
            padding = at::tensor(before, at::kLong);
        }
        return ids;
    }

    void keep(const std::vector<int64_t>& kept)
    {
        std::vector<std::size_t> left;
        for (const int64_t row : kept) {
            left.push_back(rows[static_cast<std::size_t>(row)]);
        }
        rows = std::move(left);
        const at::Tensor index = at::tensor(kept, at::kLong);
        for (model::KvCache& cache : caches) {
            cache.keep_rows(index.to(cache.keys.device()));
        }
        if (padding.defined()) {
            padding = padding.index_select(0, index);
        }
    }
};

Generator::Generator(RunContext& context, const model::CausalLm& model, const BlockProvider& blocks)
    : model_(model)
{
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        context.checkpoint();
        blocks_.push_back(blocks ? blocks(i) : model.load_block(i));
    }
}

std::vector<int32_t> Generator::generate(RunContext& context, const std::vector<int32_t>& prompt,
    const SamplingOptions& options, const TokenSink& sink) const
{
    return run(context, {prompt}, options, sink).front();
}

std::vector<std::vector<int32_t>> Generator::sample(RunContext& context,
    const std::vector<std::vector<int32_t>>& prompts, const SamplingOptions& options,
    const TokenSink& sink) const
{
    return run(context, prompts, options, sink);
}

at::Tensor Generator::next_logits(Batch& batch, const at::Tensor& ids) const
{
    const int64_t tokens = ids.size(1);
    const model::BlockShared shared = model_.shared(tokens, batch.past, batch.padding);
    at::Tensor hidden = model_.embed(ids, batch.past);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        hidden = blocks_[i]->forward(hidden, shared, &batch.caches[i]);
    }
    batch.past += tokens;
    return model_.logits(hidden.select(1, tokens - 1)).to(at::kCPU).contiguous();
}

std::vector<std::vector<int32_t>> Generator::run(RunContext& context,
    const std::vector<std::vector<int32_t>>& prompts, const SamplingOptions& options,
    const TokenSink& sink) const
{
    check_options(options);
    const at::NoGradGuard no_grad;
    std::vector<std::vector<int32_t>> answers(prompts.size());
    std::vector<Random> random;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        random.push_back(context.random("sampling", options.stream * kRowsPerStream + i));
    }
    Batch batch;
    batch.caches.resize(blocks_.size());
    at::Tensor ids = batch.begin(prompts);
    const int64_t room = model_.spec().max_length - ids.size(1);
    const int64_t steps = std::min(options.max_tokens, room);
    for (int64_t step = 0; step < steps && !batch.rows.empty(); ++step) {
        context.checkpoint();
        const at::Tensor logits = next_logits(batch, ids);
        std::vector<int64_t> kept, next;
        for (std::size_t row = 0; row < batch.rows.size(); ++row) {
            const std::size_t prompt = batch.rows[row];
            const int32_t id =
                draw_token(logits[static_cast<int64_t>(row)], options, random[prompt]);
            if (contains(options.stop_ids, id)) {
                continue;
            }
            answers[prompt].push_back(id);
            if (!sink || sink(id)) {
                kept.push_back(static_cast<int64_t>(row));
                next.push_back(id);
            }
        }
        if (kept.size() < batch.rows.size()) {
            batch.keep(kept);
        }
        ids = at::tensor(next, at::kLong).unsqueeze(1);
    }
    return answers;
}

} // namespace bitsmith::eval
