// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/report_builder.h"

#include <algorithm>

namespace bitsmith {

void add_export(Report& report, const ExportFinished& exported)
{
    std::erase_if(report.exports,
        [&exported](const ExportReport& earlier) { return earlier.path == exported.path; });
    report.exports.push_back({exported.format, exported.path, exported.bytes});
}

void ReportBuilder::on_event(const Event& event)
{
    std::visit([this](const auto& body) { add(body); }, event.body);
}

void ReportBuilder::add(const JobStarted& started)
{
    report_.run = started.run;
    report_.model = started.model;
    report_.scheme = started.scheme;
    report_.recipe = started.recipe;
}

void ReportBuilder::add(const PlanReady& ready)
{
    report_.average_bits = ready.average_bits;
    for (const PlannedLayer& layer : ready.plan.layers) {
        if (!layer.scheme.is_quantized()) {
            LayerReport kept;
            kept.name = layer.name;
            kept.scheme = "keep";
            report_.layers.push_back(std::move(kept));
        }
        if (!layer.as_asked) {
            report_.deviations.push_back(layer.name + ": " + layer.reason);
        }
    }
}

void ReportBuilder::add(const BlockFinished& block)
{
    report_.blocks.push_back({block.block, block.loss_rtn, block.loss_start, block.loss,
        block.iterations, block.best_iteration, block.seconds});
}

void ReportBuilder::add(const LayerFinished& layer)
{
    const LayerReport entry{layer.layer, layer.scheme, layer.bits, layer.mse, layer.cosine,
        layer.sqnr_db, layer.out_mse, layer.out_sqnr_db};
    // A touch-up measures a layer again.
    const auto [known, is_new] = layer_index_.emplace(layer.layer, report_.layers.size());
    if (is_new) {
        report_.layers.push_back(entry);
    } else {
        report_.layers[known->second] = entry;
    }
    if (!layer.deviation.empty()) {
        report_.deviations.push_back(layer.layer + ": " + layer.deviation);
    }
}

void ReportBuilder::add(const StageFinished& stage)
{
    StageSeconds& seconds = report_.seconds;
    double* const slots[] = {&seconds.load, &seconds.calibrate, &seconds.score, &seconds.tune,
        &seconds.touch_up, &seconds.export_, &seconds.eval};
    *slots[static_cast<std::size_t>(stage.stage)] += stage.seconds;
}

void ReportBuilder::add(const ExportFinished& exported)
{
    add_export(report_, exported);
}

void ReportBuilder::add(const MemorySample& sample)
{
    report_.peak_rss_bytes = std::max(report_.peak_rss_bytes, sample.peak_rss_bytes);
    report_.peak_device_bytes = std::max(report_.peak_device_bytes, sample.peak_device_bytes);
}

void ReportBuilder::add(const Warning& warning)
{
    report_.warnings.push_back(warning.text);
}

void ReportBuilder::add(const JobFinished& finished)
{
    report_.seconds.total = finished.seconds;
}

} // namespace bitsmith
