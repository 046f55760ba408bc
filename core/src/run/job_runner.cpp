// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/job_runner.h"

#include "base/text.h"
#include "base/timing.h"
#include "export/exporter.h"
#include "run/fisher_weights.h"
#include "run/imatrix.h"
#include "run/report_builder.h"
#include "run/run_folder.h"
#include "run/source_metrics.h"
#include "run/stages.h"
#include "run/touch_up_stage.h"
#include "run/touched_model.h"
#include "run/tune_stage.h"
#include "run/weight_check.h"
#include "tensor/device.h"

#include <bitsmith/check.h>

namespace bitsmith {

namespace {

/// Passes events to the job's observer, the report and the journal; keeps those that come before the run
/// folder exists.
class JobObserver : public Observer
{
public:
    explicit JobObserver(Observer& outer)
        : outer_(outer)
    { }

    void on_event(const Event& event) override
    {
        report.on_event(event);
        outer_.on_event(event);
        if (folder_ != nullptr) {
            folder_->append(event);
        } else {
            early_.push_back(event);
        }
    }

    void attach(RunFolder& folder)
    {
        folder_ = &folder;
        for (const Event& event : early_) {
            folder_->append(event);
        }
        early_.clear();
    }

    ReportBuilder report;

private:
    Observer& outer_;
    RunFolder* folder_ = nullptr;
    std::vector<Event> early_;
};

/// Throws the first error of check(); warnings become events.
void require_no_errors(RunContext& context, const std::vector<Issue>& issues)
{
    std::vector<std::string> errors;
    for (const Issue& issue : issues) {
        if (issue.severity == Severity::Error) {
            errors.push_back(
                issue.field.empty() ? issue.message : issue.field + ": " + issue.message);
        } else if (issue.severity == Severity::Warning) {
            context.events.warn(issue.id, issue.message);
        }
    }
    if (!errors.empty()) {
        fail(ErrorCode::InvalidSpec, join(errors, "; "));
    }
}

bool wants(const JobSpec& spec, std::string_view metric)
{
    const auto& metrics = spec.evaluation.metrics;
    return std::find(metrics.begin(), metrics.end(), metric) != metrics.end();
}

} // namespace

struct JobRunner::Impl
{
    Impl(const JobSpec& wished, bool resumes, Observer& outer, RunControl wishes)
        : spec(wished)
        , resume(resumes)
        , observer(outer)
        , emitter(observer)
        , context{emitter, std::move(wishes), "cpu", static_cast<uint64_t>(wished.runtime.seed)}
    { }

    void load();
    void keep_earlier_exports();
    void open_tuned_model();
    void show_plan();
    void calibrate();
    void tune();
    void touch_up();
    void export_all();
    void evaluate();
    at::Tensor evaluation_ids() const;

    JobSpec spec;
    bool resume;
    JobObserver observer;
    EventEmitter emitter;
    RunContext context;
    Stopwatch clock;

    std::shared_ptr<const source::ModelSource> source;
    std::unique_ptr<model::CausalLm> model;
    std::unique_ptr<RunFolder> folder;
    std::optional<calib::CalibrationSet> calibration;
    std::optional<tune::FisherWeights> fisher; ///< where the recipe wants them
    std::map<std::string, at::Tensor> importance; ///< of layers, where the job names a file of it
};

void JobRunner::Impl::load()
{
    const StageScope stage(context, Stage::Load, spec.model.path);
    context.device = tensor::resolve_device(spec.runtime.device);
    tensor::set_up_cpu(spec.runtime.threads);
    source = source::open_model(spec.model.path);
    require_no_errors(context, check(spec, &source->info));
    for (const std::string& warning : source->info.warnings) {
        context.events.warn("model", warning);
    }
    const Plan plan = build_plan(spec, source->info);
    for (const std::string& format : spec.exports.formats) {
        exporting::require_exportable(exporting::exporter_for(format), *source, plan, spec);
    }
    importance = read_importance(context, spec, *source, plan);
    if (!resume) {
        require_finite_weights(context, *source->tensors, spec.scheme.keep);
    }
    folder = resume ? RunFolder::resume(disk(), spec.runtime.run_dir, spec, source->info)
                    : RunFolder::create(disk(), spec.runtime.run_dir, spec, source->info, plan);
    observer.attach(*folder);
    keep_earlier_exports();
    open_tuned_model();
    context.events.emit(JobStarted{folder->folder().string(), spec.model.path, spec.scheme.scheme,
        spec.recipe.name, context.device, model->n_blocks(), spec.recipe.iters,
        std::min(folder->finished_blocks(), model->n_blocks())});
}

/// The report of a run that was resumed still names what was exported before.
void JobRunner::Impl::keep_earlier_exports()
{
    for (const Event& event : read_run_events(folder->folder())) {
        if (event.get_if<ExportFinished>() != nullptr) {
            observer.report.on_event(event);
        }
    }
}

void JobRunner::Impl::open_tuned_model()
{
    model = std::make_unique<model::CausalLm>(make_model(context, *source, Purpose::Tuning));
}

void JobRunner::Impl::show_plan()
{
    const StageScope stage(context, Stage::Plan, spec.scheme.scheme);
    context.events.emit(PlanReady{folder->plan(), average_bits(folder->plan())});
}

void JobRunner::Impl::calibrate()
{
    if (!spec.recipe.uses_calibration()) {
        return;
    }
    const StageScope stage(context, Stage::Calibrate, spec.calibration.dataset);
    calibration = folder->load_calibration();
    if (calibration) {
        context.events.emit(CalibrationReady{calibration->asked,
            calibration->ids.size(0) - calibration->holdout, calibration->holdout,
            calibration->ids.size(1), calibration->ids.numel(), calibration->origin});
    } else {
        calibration = calib::build_calibration_set(
            context, spec, *source, make_sampler(context, *model, *source));
        folder->publish_calibration(*calibration);
        open_tuned_model(); // the one that wrote the text keeps embedding and head
        release_free_memory();
    }
    for (const std::string& warning : calibration->warnings) {
        context.events.warn("calibration", warning);
    }
    if (spec.recipe.objective == Objective::Fisher) {
        fisher = load_or_measure_fisher_weights(context, *model, *folder, *calibration);
        release_free_memory();
    }
    emit_memory_sample(context);
}

void JobRunner::Impl::tune()
{
    const StageScope stage(context, Stage::Tune, spec.recipe.name);
    run_tune_stage(context,
        {spec, *model, *folder, calibration ? &*calibration : nullptr, &importance,
            fisher ? &*fisher : nullptr});
}

void JobRunner::Impl::touch_up()
{
    if (!calibration || !wants_touch_up(spec.recipe, folder->plan())) {
        return;
    }
    const StageScope stage(context, Stage::TouchUp, "scales and norms of all layers");
    run_touch_up_stage(context, *model, *folder, *calibration);
    emit_memory_sample(context);
}

void JobRunner::Impl::export_all()
{
    const StageScope stage(context, Stage::Export, join(spec.exports.formats, ", "));
    const auto touched = touched_model(source, *folder);
    const exporting::ExportInput input{*touched, folder->plan(), *folder, spec};
    const std::filesystem::path base = spec.exports.output.empty()
        ? folder->folder() / "exports"
        : std::filesystem::path(spec.exports.output);
    const bool one_folder = !spec.exports.output.empty() && spec.exports.formats.size() == 1;
    for (const std::string& format : spec.exports.formats) {
        const std::filesystem::path target = one_folder ? base : base / format;
        const exporting::Exporter& exporter = exporting::exporter_for(format);
        // A run that was killed after the rename finds its own finished export.
        const bool finished = resume && std::filesystem::exists(target / "bitsmith.json")
            && exporter.verify(target, &input).empty();
        const ExportReport written = finished
            ? exporting::describe_export(exporter, target)
            : exporting::publish_export(context, disk(), exporter, input, target);
        context.events.emit(ExportFinished{written.format, written.path, written.bytes, true});
        emit_memory_sample(context);
    }
}

at::Tensor JobRunner::Impl::evaluation_ids() const
{
    const EvaluationSection& wish = spec.evaluation;
    if (!wish.text.empty()) {
        const hf::TextSide text = source->load_text();
        return eval::evaluation_windows({wish.text, wish.tokens, wish.seqlen}, &text);
    }
    if (!calibration) {
        fail(ErrorCode::InvalidSpec, "there is no text to measure on",
            {{"field", "evaluation.text"}}, "Name a text file with --eval-text");
    }
    const int64_t samples = calibration->ids.size(0);
    const int64_t first = first_measured_row(*calibration);
    const int64_t windows = std::max<int64_t>(1, wish.tokens / calibration->ids.size(1));
    return calibration->ids.slice(0, first, std::min(samples, first + windows));
}

void JobRunner::Impl::evaluate()
{
    if (spec.evaluation.metrics.empty()) {
        return;
    }
    const StageScope stage(context, Stage::Evaluate, join(spec.evaluation.metrics, ", "));
    if (spec.evaluation.text.empty() && calibration && calibration->holdout == 0) {
        context.events.warn("V24",
            "the evaluation text is the calibration text, so the figures flatter the result; "
            "name another text or hold out some samples");
    }
    const at::Tensor ids = evaluation_ids();
    model.reset();
    const model::CausalLm original = make_model(context, *source, Purpose::Measuring);
    const auto touched = touched_model(source, *folder);
    model::CausalLm quantized =
        touched == source ? original : make_model(context, *touched, Purpose::Measuring);
    put_quantized_head(quantized, *folder);
    const int64_t blocks = original.n_blocks();
    const bool compares = wants(spec, "kld");
    const int64_t total = compares ? 2 * blocks : blocks;
    eval::Measured reference;
    if (compares) {
        reference = {&original,
            eval::run_blocks(
                context, original, ids, [&](int64_t i) { return original.load_block(i); }, 0,
                total)};
    }
    const eval::Measured candidate{&quantized,
        eval::run_blocks(
            context, quantized, ids,
            [&](int64_t i) { return load_quantized_block(quantized, *folder, i); }, total - blocks,
            total)};
    EvalReport report = eval::compare(context, candidate, reference, ids);
    report.model = spec.model.path;
    report.text = spec.evaluation.text.empty() ? "held-out calibration text" : spec.evaluation.text;
    if (spec.evaluation.text.empty()) {
        emit_source_metrics(context, candidate, reference, ids, *calibration);
    }
    emit_metrics(context, report); // last: the latest figure of a measure counts
    observer.report.set_eval(report);
    emit_memory_sample(context);
}

JobRunner::JobRunner(const JobSpec& spec, bool resume, Observer& observer, RunControl control)
    : impl_(std::make_unique<Impl>(spec, resume, observer, std::move(control)))
{ }

JobRunner::~JobRunner()
{
    impl_.reset();
    release_free_memory(); // windows stay open after a job
}

void JobRunner::run()
{
    impl_->load();
    impl_->show_plan();
    impl_->calibrate();
    impl_->tune();
    impl_->touch_up();
    impl_->export_all();
    impl_->evaluate();
}

const Report& JobRunner::report() const
{
    return impl_->observer.report.report();
}

void JobRunner::finish(JobState state, const Error* error)
{
    impl_->context.events.emit(
        JobFinished{state, error != nullptr ? std::string(to_string(error->code())) : std::string(),
            error != nullptr ? std::string(error->what()) : std::string(), impl_->clock.seconds()});
    if (impl_->folder) {
        impl_->folder->publish_report(report());
        impl_->folder->flush();
    }
}

Outcome run(const JobSpec& spec, bool resume, Observer& observer, RunControl control)
{
    JobRunner runner(spec, resume, observer, std::move(control));
    Outcome outcome;
    try {
        try {
            runner.run();
            runner.finish(JobState::Done, nullptr);
        } catch (const Cancelled&) {
            outcome.state = JobState::Cancelled;
            outcome.message = "cancelled";
            runner.finish(JobState::Cancelled, nullptr);
        } catch (...) {
            const Error error = current_error();
            outcome.state = JobState::Failed;
            outcome.error_code = error.code();
            outcome.message = error.what();
            runner.finish(JobState::Failed, &error);
        }
    } catch (...) {
        // The last record itself could not be written, for example on a full disk.
        const Error error = current_error();
        outcome.state = JobState::Failed;
        outcome.error_code = error.code();
        outcome.message = outcome.message.empty() ? error.what() : outcome.message;
    }
    outcome.report = runner.report();
    return outcome;
}

} // namespace bitsmith
