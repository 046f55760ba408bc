// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/stages.h"

#include "base/timing.h"
#include "eval/generator.h"
#include "tensor/device.h"

#include <ATen/ATen.h>

#include <new>

namespace bitsmith {

namespace {

double steady_seconds()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

} // namespace

StageScope::StageScope(RunContext& context, Stage stage, std::string detail)
    : context_(context)
    , stage_(stage)
    , start_seconds_(steady_seconds())
    , exceptions_(std::uncaught_exceptions())
{
    context_.events.emit(StageStarted{stage, std::move(detail)});
}

StageScope::~StageScope()
{
    if (std::uncaught_exceptions() == exceptions_) {
        context_.events.emit(StageFinished{stage_, steady_seconds() - start_seconds_});
    }
}

model::CausalLm make_model(
    const RunContext& context, const source::ModelSource& source, Purpose purpose)
{
    const c10::Device device = tensor::to_device(context.device);
    const at::ScalarType type =
        purpose == Purpose::Tuning ? tensor::compute_type(device) : at::kFloat;
    return model::CausalLm(
        source.spec, source.tensors, at::TensorOptions().device(device).dtype(type));
}

void emit_metrics(RunContext& context, const EvalReport& report)
{
    const auto emit = [&](const char* metric, const std::optional<double>& value,
                          const std::optional<double>& reference = std::nullopt) {
        if (value) {
            context.events.emit(MetricReady{report.text, metric, *value, reference});
        }
    };
    emit("ppl", report.ppl, report.ppl_reference);
    emit("kld_mean", report.kld_mean);
    emit("kld_p99", report.kld_p99);
    emit("kld_max", report.kld_max);
    emit("top1_agreement", report.top1_agreement);
}

Error current_error()
{
    try {
        throw;
    } catch (const Error& error) {
        return error;
    } catch (const c10::OutOfMemoryError& error) {
        return Error(ErrorCode::OutOfMemory, error.what_without_backtrace(), {},
            "Lower --batch-size, --seqlen or --nsamples");
    } catch (const c10::Error& error) {
        return Error(ErrorCode::Internal, error.what_without_backtrace());
    } catch (const std::bad_alloc&) {
        return Error(ErrorCode::OutOfMemory, "the system has no memory left", {},
            "Lower --batch-size, --seqlen or --nsamples");
    } catch (const std::exception& error) {
        return Error(ErrorCode::Internal, error.what());
    } catch (...) {
        return Error(ErrorCode::Internal, "an exception of an unknown kind");
    }
}

} // namespace bitsmith
