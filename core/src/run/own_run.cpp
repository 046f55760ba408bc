// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/own_run.h"

#include "export/folder_format.h"

#include <bitsmith/check.h>
#include <bitsmith/export_offer.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace bitsmith {

namespace {

using exporting::Exporter;
using exporting::ExportInput;

/// Empty: model and every scheme of the plan fit.
std::string first_refusal(const Exporter& exporter, const ExportInput& input)
{
    std::string reason = exporter.model_refusal(input.model.info);
    if (reason.empty()) {
        reason = exporter.plan_refusal(input.plan);
    }
    if (reason.empty()) {
        reason = exporter.cache_refusal(input.spec.recipe.static_kv_dtype);
    }
    for (const PlannedLayer& layer : input.plan.layers) {
        if (!reason.empty()) {
            break;
        }
        reason = layer.scheme.is_quantized() ? exporter.refusal(layer.scheme) : "";
    }
    return reason;
}

/// Layers that cannot have the scheme asked for and stay as they are.
int64_t left_out(const Plan& plan)
{
    return std::count_if(plan.layers.begin(), plan.layers.end(),
        [](const PlannedLayer& layer) { return !layer.as_asked; });
}

/// Quantized schemes that the format holds, best first.
std::vector<SchemeInfo> candidates(const Exporter& exporter, const Plan& plan)
{
    const Scheme run = exporting::common_scheme(plan);
    const double bits = average_bits(plan);
    const int64_t columns = plan.layers.empty() ? 1 : plan.layers.front().columns;
    const auto distance = [&](const SchemeInfo& item) {
        return std::tuple(item.group != exporter.id(),
            std::abs(item.scheme.act_bits - run.act_bits),
            std::abs(effective_bits(item.scheme, columns) - bits), item.scheme.sym != run.sym);
    };
    std::vector<SchemeInfo> schemes = scheme_catalog();
    std::erase_if(schemes, [&exporter](const SchemeInfo& item) {
        return !item.scheme.is_quantized() || !exporter.refusal(item.scheme).empty();
    });
    std::stable_sort(
        schemes.begin(), schemes.end(), [&distance](const SchemeInfo& a, const SchemeInfo& b) {
            return distance(a) < distance(b);
        });
    return schemes;
}

} // namespace

Fit fit_of(const Exporter& exporter, const ExportInput& input)
{
    std::string reason = first_refusal(exporter, input);
    if (!reason.empty()) {
        return {std::move(reason)};
    }
    try {
        return {{}, exporter.estimate_bytes(input)};
    } catch (const Error& error) {
        return {error.what()}; // shapes and tensors that the format has no place for
    }
}

std::string own_scheme(const Exporter& exporter, const ExportInput& input)
{
    if (!exporter.model_refusal(input.model.info).empty()) {
        return {}; // no scheme changes that
    }
    const std::string format(exporter.id());
    for (const SchemeInfo& item : candidates(exporter, input.plan)) {
        const JobSpec job = own_run(input.spec, format, item.name);
        const Plan plan = build_plan(job, input.model.info);
        const ExportInput wished{input.model, plan, input.layers, job};
        if (left_out(plan) <= left_out(input.plan) && fit_of(exporter, wished).why_not.empty()) {
            return item.name;
        }
    }
    return {};
}

JobSpec own_run(const JobSpec& run, const std::string& format, const std::string& scheme)
{
    const Exporter& exporter = exporting::exporter_for(format);
    JobSpec job = run;
    job.scheme.scheme = scheme;
    job.scheme.bits.reset();
    job.scheme.group_size.reset();
    job.scheme.sym.reset();
    std::erase_if(job.scheme.overrides, [&exporter](const Override& rule) {
        const Scheme wish = parse_scheme(rule.scheme);
        return wish.is_quantized() && !exporter.refusal(wish).empty();
    });
    if (!exporter.cache_refusal(job.recipe.static_kv_dtype).empty()) {
        job.recipe.static_kv_dtype = CacheType::None;
    }
    job.exports.formats = {format};
    job.exports.output.clear();
    job.runtime.run_dir.clear();
    return job;
}

} // namespace bitsmith
