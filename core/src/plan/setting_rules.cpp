// SPDX-License-Identifier: GPL-3.0-or-later
// Rules about recipe, calibration, evaluation, folders and the machine.
#include "base/file_ops.h"
#include "base/text.h"
#include "calib/dataset_entry.h"
#include "plan/rules.h"
#include "quant/affine.h"
#include "values/fields_text.h"

#include <bitsmith/catalog.h>

#include <algorithm>
#include <filesystem>

namespace bitsmith::plan {

namespace {

namespace fs = std::filesystem;
using Issues = std::vector<Issue>;

/// Visitor that compares every number with the range of its description.
class RangeChecker
{
public:
    RangeChecker(std::string prefix, Issues& found)
        : prefix_(std::move(prefix))
        , found_(found)
    { }
    template <class T>
    void operator()(std::string_view key, const T& value, Range range, std::string_view)
    {
        const std::string path = prefix_.empty() ? std::string(key) : concat(prefix_, '.', key);
        if constexpr (IsOptional<T>::value) {
            if (value) {
                check_number(path, *value, range);
            }
        } else if constexpr (HasFields<const T>) {
            RangeChecker inner(path, found_);
            visit_fields(inner, value);
        } else {
            check_number(path, value, range);
        }
    }

private:
    template <class T>
    void check_number(const std::string& path, const T& value, const Range& range)
    {
        if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double>) {
            if (!in_range(static_cast<double>(value), range)) {
                found_.push_back(finding(path,
                    concat(path, " is ", value_to_text(value), "; allowed: ", range_text(range),
                        ".")));
            }
        }
    }

    std::string prefix_;
    Issues& found_;
};

void out_of_range(const Subject& s, Issues& found)
{
    RangeChecker checker("", found);
    visit_fields(checker, s.spec);
    const Recipe& r = s.spec.recipe;
    if (r.iters > 0 && (r.lr == 0.0 || r.minmax_lr == 0.0)) {
        found.push_back(finding(r.lr == 0.0 ? "recipe.lr" : "recipe.minmax_lr",
            "A step size of 0 tunes nothing; leave it automatic.", "auto"));
    }
}

void no_model(const Subject& s, Issues& found)
{
    if (s.spec.model.path.empty()) {
        found.push_back(finding("model.path", "No model is named."));
    }
}

void already_quantized(const Subject& s, Issues& found)
{
    if (s.model != nullptr && !s.model->quantization.empty()) {
        found.push_back(finding("model.path",
            concat("The model is already quantized (", s.model->quantization,
                "); the result cannot be better than this file is.")));
    }
}

void no_samples(const Subject& s, Issues& found)
{
    if (s.spec.recipe.nsamples == 0 && s.spec.recipe.iters > 0) {
        found.push_back(finding(
            "recipe.nsamples", "Tuning needs calibration samples and none are asked for.", "128"));
    }
    if (s.spec.recipe.nsamples > 0 && s.spec.calibration.dataset.empty()) {
        found.push_back(finding("calibration.dataset", "No calibration text is named.", "self"));
    } else if (s.spec.recipe.nsamples > 0) {
        try {
            calib::parse_dataset(s.spec.calibration.dataset);
        } catch (const Error& error) {
            found.push_back(finding("calibration.dataset", error.what()));
        }
    }
}

/// A quantized layer of numbers in whose units no rounding offset can be told beforehand.
const PlannedLayer* first_without_integers(const Plan& plan)
{
    const auto found =
        std::find_if(plan.layers.begin(), plan.layers.end(), [](const PlannedLayer& layer) {
            return layer.scheme.is_quantized() && !quant::is_affine(layer.scheme)
                && layer.scheme.data_type != DataType::IntDouble;
        });
    return found == plan.layers.end() ? nullptr : &*found;
}

void compensated_start(const Subject& s, Issues& found)
{
    const Recipe& r = s.spec.recipe;
    if (r.start != Start::Compensated) {
        return;
    }
    const PlannedLayer* other = r.iters > 0 && s.plan ? first_without_integers(*s.plan) : nullptr;
    if (other != nullptr) {
        found.push_back(finding("recipe.start",
            concat("Steps can start from compensated codes of integers, and ", other->name, " is ",
                scheme_name(other->scheme), "."),
            "search"));
    }
    if (r.nsamples == 0) {
        found.push_back(
            finding("recipe.nsamples", "Compensated rounding needs calibration samples.", "128"));
    }
}

void smoothing_without_calibration(const Subject& s, Issues& found)
{
    if (s.spec.recipe.smoothing == Smoothing::Awq && !s.spec.recipe.uses_calibration()) {
        found.push_back(finding("recipe.smoothing",
            "Smoothing looks at calibration text, and the recipe uses none.", "off"));
    }
}

/// The search sees the rounding of weights; what outliers of activations cost is not in it.
void smoothing_of_rounded_inputs(const Subject& s, Issues& found)
{
    if (s.spec.recipe.smoothing == Smoothing::Awq && s.scheme
        && s.scheme->quantizes_activations()) {
        found.push_back(finding("recipe.smoothing",
            concat(scheme_name(*s.scheme),
                " rounds activations too, and smoothing is chosen by the rounding of weights "
                "alone."),
            "off"));
    }
}

void gradient_weights(const Subject& s, Issues& found)
{
    const Recipe& r = s.spec.recipe;
    if (r.objective != Objective::Fisher) {
        return;
    }
    if (!r.uses_calibration()) {
        found.push_back(finding("recipe.objective",
            "Weights from gradients need calibration text, and the recipe uses none.",
            "inverse-norm"));
    } else if (r.mimic_reference) {
        found.push_back(finding("recipe.objective",
            "auto-round has no weights from gradients, and the recipe follows its order.", "mse"));
    }
}

/// Layers whose activations have scales from calibration.
void scales_without_calibration(const Subject& s, Issues& found)
{
    if (s.spec.recipe.uses_calibration() || !s.scheme || !s.scheme->is_quantized()) {
        return;
    }
    const bool is_needed = s.plan
        ? std::any_of(s.plan->layers.begin(), s.plan->layers.end(),
            [](const PlannedLayer& layer) {
                return layer.scheme.is_quantized() && layer.scheme.needs_input_max();
            })
        : s.scheme->needs_input_max();
    if (is_needed) {
        found.push_back(finding("recipe.name",
            concat(scheme_name(*s.scheme),
                " has scales of activations that come from calibration text, and the recipe uses "
                "none."),
            "opt_rtn"));
    }
}

/// A cache in fewer bits has scales from calibration, and a format that holds them.
void cache_numbers(const Subject& s, Issues& found)
{
    const CacheType type = s.spec.recipe.static_kv_dtype;
    if (type == CacheType::None) {
        return;
    }
    if (!s.spec.recipe.uses_calibration()) {
        found.push_back(finding("recipe.static_kv_dtype",
            "Scales of keys and values come from calibration text, and the recipe uses none.",
            "none"));
    }
    for (const FormatInfo& known : format_catalog()) {
        const auto& formats = s.spec.exports.formats;
        const std::string reason = format_cache_refusal(known.id, type);
        if (!reason.empty()
            && std::find(formats.begin(), formats.end(), known.id) != formats.end()) {
            found.push_back(finding("recipe.static_kv_dtype", concat(reason, "."), "none"));
        }
    }
}

void samples_left_after_holdout(const Subject& s, Issues& found)
{
    const auto asked = static_cast<double>(s.spec.recipe.nsamples);
    if (s.spec.recipe.iters > 0 && s.spec.recipe.selection == Selection::Holdout
        && asked * s.spec.calibration.holdout < 1) {
        found.push_back(finding("recipe.selection",
            "No sample is held out with these numbers, so the best step cannot be chosen by one; "
            "the last step is kept.",
            "last"));
    }
}

void more_samples_than_computed(const Subject& s, Issues& found)
{
    const Recipe& r = s.spec.recipe;
    if (!s.plan || !r.uses_calibration() || r.seqlen <= 0) {
        return;
    }
    const int64_t computed = windows_computed(r, *s.plan, r.nsamples, r.seqlen);
    if (computed < r.nsamples) {
        found.push_back(finding("recipe.nsamples",
            concat("Without steps the first ", computed, " of ", r.nsamples,
                " samples settle what is measured; nothing is computed with the others."),
            std::to_string(computed)));
    }
}

void too_large(const Subject& s, Issues& found)
{
    const Recipe& r = s.spec.recipe;
    if (r.iters > 0 && r.nsamples > 0 && r.batch_size > r.nsamples) {
        found.push_back(finding("recipe.batch_size",
            concat("The batch of ", r.batch_size, " is larger than the ", r.nsamples,
                " samples and will be reduced."),
            std::to_string(r.nsamples)));
    }
    const int64_t limit = s.model != nullptr ? s.model->max_length : 0;
    if (limit > 0 && r.nsamples > 0 && r.seqlen > limit) {
        found.push_back(finding("recipe.seqlen",
            concat("Samples of ", r.seqlen, " tokens are longer than the model's context of ",
                limit, " and will be shortened."),
            std::to_string(limit)));
    }
    if (limit > 0 && !s.spec.evaluation.metrics.empty() && s.spec.evaluation.seqlen > limit) {
        found.push_back(finding("evaluation.seqlen",
            concat("The window of ", s.spec.evaluation.seqlen,
                " tokens is longer than the model's context of ", limit, "."),
            std::to_string(limit)));
    }
}

void unknown_metric(const Subject& s, Issues& found)
{
    std::vector<std::string> known;
    for (const NamedItem& item : metric_catalog()) {
        known.push_back(item.id);
    }
    for (const std::string& metric : s.spec.evaluation.metrics) {
        if (std::find(known.begin(), known.end(), metric) == known.end()) {
            found.push_back(finding("evaluation.metrics",
                "There is no measure '" + metric + "'; known: " + join(known, ", ") + ".",
                nearest(metric, known)));
        }
    }
}

void nothing_to_measure_on(const Subject& s, Issues& found)
{
    const EvaluationSection& e = s.spec.evaluation;
    if (!e.metrics.empty() && e.text.empty() && s.spec.recipe.nsamples == 0) {
        found.push_back(finding("evaluation.text",
            "Without calibration samples there is no held-out text to measure on; name a file."));
    }
}

void measured_on_calibration(const Subject& s, Issues& found)
{
    const EvaluationSection& e = s.spec.evaluation;
    const auto sources = split(s.spec.calibration.dataset, ',');
    const bool is_source =
        std::any_of(sources.begin(), sources.end(), [&e](const std::string& source) {
            return source.substr(0, source.find(':')) == e.text; // options follow
        });
    if (!e.metrics.empty() && !e.text.empty() && is_source) {
        found.push_back(finding("evaluation.text",
            "The evaluation text is the calibration text, so the figures flatter the result."));
    }
}

void unknown_device(const Subject& s, Issues& found)
{
    const std::string& device = s.spec.runtime.device;
    const bool numbered = device.rfind("cuda:", 0) == 0 && device.size() > 5 && device.size() <= 8
        && device.find_first_not_of("0123456789", 5) == std::string::npos;
    if (!numbered && device != "cpu" && device != "cuda" && device != "auto") {
        found.push_back(finding("runtime.device",
            "There is no device '" + device + "'; allowed: cpu, cuda, cuda:N, auto.", "auto"));
    }
}

bool contains_folder(const fs::path& outer, const fs::path& inner)
{
    const auto [end, _] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
    return end == outer.end();
}

fs::path normal(const std::string& text)
{
    std::error_code error;
    fs::path path = fs::absolute(text, error).lexically_normal();
    return path.has_filename() ? path : path.parent_path();
}

void output_over_source(const Subject& s, Issues& found)
{
    const fs::path model = normal(s.spec.model.path);
    const std::pair<const char*, const std::string*> folders[] = {
        {"exports.output", &s.spec.exports.output}, {"runtime.run_dir", &s.spec.runtime.run_dir}};
    for (const auto& [field, folder] : folders) {
        if (folder->empty() || s.spec.model.path.empty()) {
            continue;
        }
        if (contains_folder(model, normal(*folder))) {
            found.push_back(
                finding(field, concat("The folder ", *folder, " lies in the model's own folder.")));
        }
    }
}

void output_not_empty(const Subject& s, Issues& found)
{
    const std::string& output = s.spec.exports.output;
    std::error_code error;
    if (!output.empty() && fs::is_directory(output, error) && !fs::is_empty(output, error)) {
        found.push_back(finding("exports.output",
            concat("The output folder ", output,
                " is not empty; files in it are never overwritten.")));
    }
}

void disk_too_small(const Subject& s, Issues& found)
{
    if (s.model == nullptr || !s.plan || s.spec.exports.output.empty()) {
        return;
    }
    const Estimate need = estimate(s.spec, *s.model, *s.plan);
    try {
        const int64_t free = free_disk_bytes(s.spec.exports.output);
        if (free < need.export_bytes) {
            found.push_back(finding("exports.output",
                concat("The export needs ", format_bytes(need.export_bytes), " and ",
                    s.spec.exports.output, " has ", format_bytes(free), " free.")));
        }
    } catch (const Error&) {
        // A folder that cannot be asked is refused with its reason when the run creates it.
    }
}

void imatrix_absent(const Subject& s, Issues& found)
{
    const std::string& file = s.spec.calibration.imatrix;
    std::error_code error;
    if (!file.empty() && !fs::is_regular_file(file, error)) {
        found.push_back(
            finding("calibration.imatrix", concat("There is no importance matrix ", file, ".")));
    }
}

void imatrix_without_search(const Subject& s, Issues& found)
{
    if (!s.spec.calibration.imatrix.empty() && s.spec.recipe.start != Start::Search) {
        found.push_back(finding("recipe.start",
            "The importance matrix has no effect: it weighs the search of ranges, and this recipe "
            "does not search.",
            "search"));
    }
}

constexpr Rule kRules[] = {
    {"V01", Severity::Error, no_model},
    {"V28", Severity::Error, out_of_range},
    {"V15", Severity::Error, no_samples},
    {"V37", Severity::Error, compensated_start},
    {"V38", Severity::Error, scales_without_calibration},
    {"V40", Severity::Error, cache_numbers},
    {"V41", Severity::Error, imatrix_absent},
    {"V44", Severity::Error, smoothing_without_calibration},
    {"V45", Severity::Error, gradient_weights},
    {"V32", Severity::Error, unknown_metric},
    {"V33", Severity::Error, nothing_to_measure_on},
    {"V34", Severity::Error, unknown_device},
    {"V35", Severity::Error, output_over_source},
    {"V20", Severity::Error, disk_too_small},
    {"V16", Severity::Warning, samples_left_after_holdout},
    {"V17", Severity::Warning, too_large},
    {"V21", Severity::Warning, output_not_empty},
    {"V24", Severity::Warning, measured_on_calibration},
    {"V41", Severity::Warning, imatrix_without_search},
    {"V44", Severity::Warning, smoothing_of_rounded_inputs},
    {"V36", Severity::Info, already_quantized},
    {"V46", Severity::Info, more_samples_than_computed},
};

} // namespace

std::span<const Rule> setting_rules()
{
    return kRules;
}

} // namespace bitsmith::plan
