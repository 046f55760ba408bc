// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/calibration_set.h"

#include "base/text.h"
#include "calib/mixture.h"
#include "calib/text_windows.h"
#include "source/model_source.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <numeric>
#include <set>

namespace bitsmith::calib {

namespace {

/// True where a position counts: not padding, not the last position (algorithm.md 1.11).
at::Tensor loss_mask(const at::Tensor& ids, std::optional<int32_t> pad)
{
    at::Tensor mask = at::ones(ids.sizes(), at::kBool);
    if (pad) {
        mask = ids.ne(*pad);
    }
    mask.select(1, ids.size(1) - 1).fill_(false);
    // A sample that is all padding would divide by zero; it counts whole instead.
    const at::Tensor empty = mask.any(1).logical_not();
    return mask.logical_or(empty.unsqueeze(1));
}

void add_warnings(CalibrationSet& set)
{
    if (set.ids.size(0) < set.asked) {
        set.warnings.push_back(concat("calibration: ", set.asked, " samples asked, ",
            set.ids.size(0), " usable; add text or lower --nsamples or --seqlen"));
    }
    std::set<std::vector<int64_t>> distinct;
    for (int64_t i = 0; i < set.ids.size(0); ++i) {
        const at::Tensor row = set.ids[i].contiguous();
        distinct.emplace(row.data_ptr<int64_t>(), row.data_ptr<int64_t>() + row.numel());
    }
    if (static_cast<int64_t>(distinct.size()) < set.ids.size(0)) {
        set.warnings.push_back(
            concat("calibration: ", set.ids.size(0) - static_cast<int64_t>(distinct.size()),
                " samples are copies of others"));
    }
}

/// Samples that the entries are to give together.
int64_t asked_samples(const std::vector<DatasetEntry>& entries, int64_t nsamples)
{
    const int64_t numbered = std::accumulate(entries.begin(), entries.end(), int64_t{0},
        [](int64_t sum, const DatasetEntry& entry) { return sum + entry.num.value_or(0); });
    if (numbered > nsamples) {
        fail(ErrorCode::InvalidSpec, "the sources give more samples than are asked for",
            {{"field", "calibration.dataset"}, {"found", concat(numbered, " by num=")},
                {"allowed", concat(nsamples, " or fewer, recipe.nsamples")}},
            "Raise --nsamples or lower the numbers");
    }
    const bool has_open = std::any_of(entries.begin(), entries.end(),
        [](const DatasetEntry& entry) { return !entry.num.has_value(); });
    return has_open ? nsamples : numbered;
}

/// The windows that each source gives.
std::vector<SourceWindows> collect(RunContext& context, const JobSpec& spec,
    const std::optional<hf::TextSide>& text, const Sampler& sampler,
    const std::vector<DatasetEntry>& entries, int64_t asked)
{
    std::vector<SourceWindows> found(entries.size());
    std::vector<Supply> supplies;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const DatasetEntry& entry = entries[i];
        const int64_t limit = entry.num.value_or(asked);
        if (entry.is_tokens()) {
            found[i] = windows_from_ids(entry.name, spec, limit);
        } else if (!entry.is_self()) {
            found[i] = windows_from_file(context, spec, *text, entry, i, limit);
        }
        const auto count = static_cast<int64_t>(found[i].windows.size());
        supplies.push_back({entry.is_self() ? limit : count, entry.num});
    }
    const std::vector<int64_t> counts = shares(supplies, asked);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (entries[i].is_self()) { // last, because the model writes only what is wanted
            found[i] = windows_from_model(context, spec, *text, sampler, counts[i]);
        } else {
            found[i].windows.resize(static_cast<std::size_t>(counts[i]));
        }
    }
    return found;
}

std::vector<int64_t> counts_of(const std::vector<SourceWindows>& found)
{
    std::vector<int64_t> counts;
    for (const SourceWindows& source : found) {
        counts.push_back(static_cast<int64_t>(source.windows.size()));
    }
    return counts;
}

void require_windows(const std::vector<SourceWindows>& found, const JobSpec& spec)
{
    std::vector<std::string> counts;
    for (const SourceWindows& source : found) {
        if (!source.windows.empty()) {
            return;
        }
        counts.push_back(source.counts);
    }
    fail(ErrorCode::InvalidSpec, "no usable calibration sample",
        {{"field", "calibration.dataset"}, {"found", join(counts, "; ")},
            {"needed", concat("windows of ", spec.recipe.seqlen, " tokens")}},
        "Lower --seqlen, name more text, or use --calibration packed");
}

/// Windows of all sources, evenly mixed; those held out at the end, mixed too.
void put_windows(CalibrationSet& set, const std::vector<SourceWindows>& found, const JobSpec& spec)
{
    const std::vector<int64_t> counts = counts_of(found);
    const std::vector<int64_t> held = held_out(counts, spec.calibration.holdout);
    std::vector<int64_t> tuned;
    std::transform(
        counts.begin(), counts.end(), held.begin(), std::back_inserter(tuned), std::minus<>());
    std::vector<std::size_t> order = interleaved(tuned);
    for (const std::size_t source : interleaved(held)) {
        order.push_back(source);
    }
    const auto samples = static_cast<int64_t>(order.size());
    set.holdout = std::accumulate(held.begin(), held.end(), int64_t{0});
    set.ids = at::empty({samples, spec.recipe.seqlen}, at::kLong);
    set.source = at::empty({samples}, at::kLong);
    std::vector<std::size_t> next(found.size(), 0);
    for (int64_t i = 0; i < samples; ++i) {
        const std::size_t source = order[static_cast<std::size_t>(i)];
        const Tokens& window = found[source].windows[next[source]++];
        std::copy(window.begin(), window.end(), set.ids[i].data_ptr<int64_t>());
        set.source[i] = static_cast<int64_t>(source);
    }
}

/// Who the samples are from, and what there is to say about the sources.
void describe_sources(CalibrationSet& set, const std::vector<SourceWindows>& found,
    const std::vector<DatasetEntry>& entries)
{
    std::vector<std::string> origins;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const SourceWindows& source = found[i];
        const auto count = static_cast<int64_t>(source.windows.size());
        set.sources.push_back(entries[i].name);
        origins.push_back(
            found.size() == 1 ? source.origin : concat(source.origin, " (", count, ")"));
        set.warnings.insert(set.warnings.end(), source.warnings.begin(), source.warnings.end());
        if (found.size() > 1 && (count == 0 || count < entries[i].num.value_or(0))) {
            set.warnings.push_back(concat(
                "calibration: ", entries[i].name, " gives ", count, " samples: ", source.counts));
        }
    }
    set.origin = join(origins, ", ");
}

void require_known_tokens(const at::Tensor& ids, int64_t vocab)
{
    if (ids.max().item<int64_t>() >= vocab || ids.min().item<int64_t>() < 0) {
        fail(ErrorCode::InvalidSpec, "calibration tokens lie outside the model's vocabulary",
            {{"field", "calibration.dataset"}, {"found", concat(ids.max().item<int64_t>())},
                {"allowed", concat("0 to ", vocab - 1)}},
            "The tokenizer does not belong to this model");
    }
}

} // namespace

CalibrationSet build_calibration_set(RunContext& context, const JobSpec& spec,
    const source::ModelSource& model, const Sampler& sampler)
{
    const std::vector<DatasetEntry> entries = parse_dataset(spec.calibration.dataset);
    CalibrationSet set;
    set.asked = asked_samples(entries, spec.recipe.nsamples);
    std::optional<hf::TextSide> text;
    if (!std::all_of(entries.begin(), entries.end(),
            [](const DatasetEntry& entry) { return entry.is_tokens(); })) {
        text.emplace(model.load_text());
        warn_of_prefix(spec, *text, set.warnings);
    }
    const std::vector<SourceWindows> found =
        collect(context, spec, text, sampler, entries, set.asked);
    require_windows(found, spec);
    put_windows(set, found, spec);
    describe_sources(set, found, entries);
    require_known_tokens(set.ids, model.spec.vocab);
    set.mask = loss_mask(set.ids, text ? text->pad : std::nullopt);
    add_warnings(set);
    context.events.emit(CalibrationReady{set.asked, set.ids.size(0) - set.holdout, set.holdout,
        set.ids.size(1), set.ids.numel(), set.origin});
    return set;
}

} // namespace bitsmith::calib
