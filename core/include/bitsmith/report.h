// SPDX-License-Identifier: GPL-3.0-or-later
// What a finished run says about itself; `quantize --json` prints it, run folders and exports keep
// it.
#pragma once

#include <bitsmith/fields.h>

#include <optional>
#include <string>
#include <vector>

namespace bitsmith {

inline constexpr int64_t kReportSchemaVersion = 1;

#define BITSMITH_REPORT_FIELDS(Type)                                                               \
    template <class Visitor, class Self>                                                           \
    requires std::same_as<std::remove_const_t<Self>, Type>                                         \
    void visit_fields(Visitor& v, Self& r)

struct ExportReport
{
    std::string format;
    std::string path;
    int64_t bytes = 0;
};
BITSMITH_REPORT_FIELDS(ExportReport)
{
    v("format", r.format, any_value(), "output format");
    v("path", r.path, any_value(), "folder or file");
    v("bytes", r.bytes, range(0, 1e18, "bytes"), "size of all files");
}

struct BlockReport
{
    int64_t index = 0;
    double loss_rtn = 0;
    double loss_start = 0;
    double loss = 0;
    int64_t iterations = 0;
    int64_t best_iteration = 0;
    double seconds = 0;
};
BITSMITH_REPORT_FIELDS(BlockReport)
{
    v("index", r.index, any_value(), "block");
    v("loss_rtn", r.loss_rtn, any_value(), "mean squared output error of plain rounding");
    v("loss_start", r.loss_start, any_value(), "before the first step");
    v("loss", r.loss, any_value(), "of what was kept");
    v("iterations", r.iterations, any_value(), "steps done");
    v("best_iteration", r.best_iteration, any_value(), "step whose state was kept");
    v("seconds", r.seconds, any_value(), "time");
}

struct LayerReport
{
    std::string name;
    std::string scheme;
    double bits = 16;
    double mse = 0;
    double cosine = 1;
    double sqnr_db = 0;
    std::optional<double> out_mse;
    std::optional<double> out_sqnr_db;
};
BITSMITH_REPORT_FIELDS(LayerReport)
{
    v("name", r.name, any_value(), "layer");
    v("scheme", r.scheme, any_value(), "number format");
    v("bits", r.bits, any_value(), "effective bits per weight");
    v("mse", r.mse, any_value(), "mean squared error of the weights");
    v("cosine", r.cosine, any_value(), "cosine between original and quantized weights");
    v("sqnr_db", r.sqnr_db, any_value(), "signal to quantization noise of the weights");
    v("out_mse", r.out_mse, any_value(), "mean squared error of the layer's output");
    v("out_sqnr_db", r.out_sqnr_db, any_value(), "signal to noise of the layer's output");
}

/// Distance of a candidate to a reference on a text. KL in nats per token, direction reference ||
/// candidate.
struct EvalReport
{
    std::string model;
    std::string text;
    int64_t tokens = 0;
    int64_t seqlen = 0;
    std::optional<double> ppl;
    std::optional<double> ppl_reference;
    std::optional<double> kld_mean;
    std::optional<double> kld_p99;
    std::optional<double> kld_max;
    std::optional<double> top1_agreement;
};
BITSMITH_REPORT_FIELDS(EvalReport)
{
    v("model", r.model, any_value(), "model measured");
    v("text", r.text, any_value(), "text measured on");
    v("tokens", r.tokens, any_value(), "predicted tokens");
    v("seqlen", r.seqlen, any_value(), "window");
    v("ppl", r.ppl, any_value(), "perplexity");
    v("ppl_reference", r.ppl_reference, any_value(), "perplexity of the reference");
    v("kld_mean", r.kld_mean, any_value(), "mean KL divergence, nats per token");
    v("kld_p99", r.kld_p99, any_value(), "99th percentile of the KL divergence");
    v("kld_max", r.kld_max, any_value(), "largest KL divergence");
    v("top1_agreement", r.top1_agreement, any_value(),
        "share of tokens with the same most likely next token");
}

struct StageSeconds
{
    double total = 0, load = 0, calibrate = 0, score = 0, tune = 0, touch_up = 0, export_ = 0,
           eval = 0;
};
BITSMITH_REPORT_FIELDS(StageSeconds)
{
    v("total", r.total, any_value(), "all stages");
    v("load", r.load, any_value(), "reading the model");
    v("calibrate", r.calibrate, any_value(), "calibration text");
    v("score", r.score, any_value(), "sensitivity");
    v("tune", r.tune, any_value(), "tuning");
    v("touch_up", r.touch_up, any_value(), "end-to-end touch-up");
    v("export", r.export_, any_value(), "writing and checking files");
    v("eval", r.eval, any_value(), "evaluation");
}

struct Report
{
    std::string run;
    std::string model;
    std::string scheme;
    std::string recipe;
    std::vector<ExportReport> exports;
    double average_bits = 0;
    std::vector<BlockReport> blocks;
    std::vector<LayerReport> layers;
    std::optional<EvalReport> eval;
    StageSeconds seconds;
    int64_t peak_rss_bytes = 0;
    int64_t peak_device_bytes = 0;
    std::vector<std::string> warnings;
    std::vector<std::string> deviations; ///< "layer: reason"; quantize then ends with code 5
};
BITSMITH_REPORT_FIELDS(Report)
{
    v("run", r.run, any_value(), "run folder");
    v("model", r.model, any_value(), "model");
    v("scheme", r.scheme, any_value(), "number format");
    v("recipe", r.recipe, any_value(), "recipe");
    v("exports", r.exports, any_value(), "files written");
    v("average_bits", r.average_bits, any_value(),
        "bits per weight of the quantized blocks, scales included");
    v("blocks", r.blocks, any_value(), "losses");
    v("layers", r.layers, any_value(), "errors");
    v("eval", r.eval, any_value(), "distance to the original");
    v("seconds", r.seconds, any_value(), "times");
    v("peak_rss_bytes", r.peak_rss_bytes, range(0, 1e18, "bytes"), "largest host memory");
    v("peak_device_bytes", r.peak_device_bytes, range(0, 1e18, "bytes"), "largest device memory");
    v("warnings", r.warnings, any_value(), "what the user should know");
    v("deviations", r.deviations, any_value(), "layers that could not get what was asked for");
}

#undef BITSMITH_REPORT_FIELDS

} // namespace bitsmith
