// SPDX-License-Identifier: GPL-3.0-or-later
#include "result_table.h"

#include "text_format.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace bitsmith::cli {

namespace {

constexpr std::size_t kWorstLayers = 5;

using Row = std::vector<std::string>;

void add(std::vector<Row>& rows, const char* name, const std::optional<double>& value)
{
    if (value) {
        rows.push_back({name, number_text(*value)});
    }
}

std::vector<Row> eval_rows(const EvalReport& e)
{
    std::vector<Row> rows;
    rows.push_back({"measured on", e.text + ", " + std::to_string(e.tokens) + " tokens"});
    if (e.ppl) {
        rows.push_back({"perplexity",
            number_text(*e.ppl)
                + (e.ppl_reference ? " (original " + number_text(*e.ppl_reference) + ")" : "")});
    }
    add(rows, "KL mean (nats/token)", e.kld_mean);
    add(rows, "KL p99", e.kld_p99);
    add(rows, "KL max", e.kld_max);
    if (e.top1_agreement) {
        rows.push_back({"same top token", fixed_text(*e.top1_agreement * 100, 2) + " %"});
    }
    return rows;
}

void print_worst_layers(std::ostream& out, std::vector<LayerReport> layers)
{
    layers.erase(std::remove_if(layers.begin(), layers.end(),
                     [](const LayerReport& layer) { return layer.bits >= 16; }),
        layers.end());
    const std::size_t shown = std::min(layers.size(), kWorstLayers);
    if (shown == 0) {
        return;
    }
    const auto quality = [](const LayerReport& l) { return l.out_sqnr_db.value_or(l.sqnr_db); };
    std::partial_sort(layers.begin(), layers.begin() + static_cast<long>(shown), layers.end(),
        [&](const LayerReport& a, const LayerReport& b) { return quality(a) < quality(b); });
    std::vector<Row> rows = {{"worst layers", "scheme", "bits", "weights dB", "outputs dB"}};
    for (std::size_t i = 0; i < shown; ++i) {
        const LayerReport& l = layers[i];
        rows.push_back({l.name, l.scheme, fixed_text(l.bits, 2), fixed_text(l.sqnr_db, 1),
            l.out_sqnr_db ? fixed_text(*l.out_sqnr_db, 1) : "-"});
    }
    out << '\n';
    print_columns(out, rows, true);
}

double mean_loss(const Report& report, double BlockReport::*field)
{
    const double sum = std::accumulate(report.blocks.begin(), report.blocks.end(), 0.0,
        [field](double total, const BlockReport& block) { return total + block.*field; });
    return report.blocks.empty() ? 0 : sum / static_cast<double>(report.blocks.size());
}

std::string stage_times(const StageSeconds& s)
{
    std::string text;
    for (const auto& [name, seconds] : {std::pair("load", s.load),
             std::pair("calibrate", s.calibrate), std::pair("score", s.score),
             std::pair("tune", s.tune), std::pair("touch-up", s.touch_up),
             std::pair("export", s.export_), std::pair("evaluate", s.eval)}) {
        if (seconds > 0) {
            text += (text.empty() ? "" : ", ") + std::string(name) + " " + seconds_text(seconds);
        }
    }
    return text;
}

} // namespace

void print_report(std::ostream& out, const Report& report, int64_t original_bytes)
{
    std::vector<Row> rows = {{"run", report.run}, {"model", report.model},
        {"scheme", report.scheme + ", recipe " + report.recipe},
        {"bits per weight", fixed_text(report.average_bits, 3)}};
    if (original_bytes > 0) {
        rows.push_back({"size before", bytes_text(original_bytes)});
    }
    for (const ExportReport& e : report.exports) {
        rows.push_back({"size as " + e.format, bytes_text(e.bytes) + ", " + e.path});
    }
    if (!report.blocks.empty()) {
        rows.push_back({"mean block loss",
            number_text(mean_loss(report, &BlockReport::loss)) + " (rounding only "
                + number_text(mean_loss(report, &BlockReport::loss_rtn)) + ")"});
    }
    if (report.eval) {
        for (Row& row : eval_rows(*report.eval)) {
            rows.push_back(std::move(row));
        }
    }
    rows.push_back(
        {"time", seconds_text(report.seconds.total) + ": " + stage_times(report.seconds)});
    rows.push_back({"peak memory",
        bytes_text(report.peak_rss_bytes)
            + (report.peak_device_bytes > 0 ? ", device " + bytes_text(report.peak_device_bytes)
                                            : "")});
    print_columns(out, rows);
    print_worst_layers(out, report.layers);
    print_deviations(out, report.deviations);
}

void print_deviations(std::ostream& out, const std::vector<std::string>& deviations)
{
    if (!deviations.empty()) {
        out << "\nnot done as the settings ask (exit code 5):\n";
        for (const std::string& deviation : deviations) {
            out << "  " << deviation << '\n';
        }
    }
}

void print_eval(std::ostream& out, const EvalReport& report)
{
    std::vector<Row> rows = eval_rows(report);
    rows.insert(rows.begin(), {"model", report.model});
    print_columns(out, rows);
}

void print_model(std::ostream& out, const ModelInfo& info)
{
    std::vector<Row> rows = {{"model", info.path + " (" + info.kind + ")"},
        {"family", info.family + ", " + info.architecture},
        {"blocks",
            std::to_string(info.blocks) + ", hidden size " + std::to_string(info.hidden_size)},
        {"parameters",
            fixed_text(static_cast<double>(info.parameters) / 1e6, 1) + " M, "
                + bytes_text(info.bytes)},
        {"vocabulary",
            std::to_string(info.vocab_size)
                + (info.tied_head ? ", head tied to the embedding" : ", own head")},
        {"context", std::to_string(info.max_length) + " tokens"},
        {"tokenizer",
            (info.tokenizer.empty() ? "none" : info.tokenizer)
                + (info.has_chat_template ? ", chat template" : ", no chat template")}};
    if (!info.quantization.empty()) {
        rows.push_back({"quantized", info.quantization});
    }
    print_columns(out, rows);

    // One line per kind of layer: the name without its block's number.
    std::vector<std::pair<Row, int64_t>> kinds;
    for (const LayerInfo& layer : info.layers) {
        const std::string number = "." + std::to_string(layer.block_index) + ".";
        std::string name = layer.name;
        if (const auto at = name.find(number); layer.block_index >= 0 && at != std::string::npos) {
            name.replace(at, number.size(), ".*.");
        }
        Row row = {name, std::to_string(layer.rows) + " x " + std::to_string(layer.columns),
            layer.dtype, layer.quantizable ? "quantized" : "kept"};
        const auto same = std::find_if(
            kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.first == row; });
        if (same == kinds.end()) {
            kinds.emplace_back(std::move(row), 1);
        } else {
            ++same->second;
        }
    }
    rows = {{"layers", "shape", "type", "by default", "count"}};
    for (auto& [row, count] : kinds) {
        row.push_back(std::to_string(count));
        rows.push_back(std::move(row));
    }
    out << '\n';
    print_columns(out, rows, true);
    for (const std::string& warning : info.warnings) {
        out << "warning: " << warning << '\n';
    }
}

void print_issues(std::ostream& out, const std::vector<Issue>& issues)
{
    for (const Issue& issue : issues) {
        out << to_string(issue.severity) << ' ' << issue.id << ": " << issue.message;
        if (!issue.field.empty() && !issue.fix_value.empty()) {
            out << " Try " << issue.field << '=' << issue.fix_value << '.';
        } else if (!issue.field.empty()) {
            out << " (" << issue.field << ')';
        }
        out << '\n';
    }
}

std::vector<std::string> rule_lines(const Plan& plan)
{
    constexpr std::size_t kShown = 3;
    std::map<std::string, std::vector<std::string>> layers; // of rule and scheme
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.reason.starts_with("override '") || layer.reason.starts_with("keep '")) {
            const bool is_kept = !layer.scheme.is_quantized();
            const std::string scheme = is_kept ? "16 bits" : scheme_name(layer.scheme);
            layers[layer.reason + ": " + scheme].push_back(layer.name);
        }
    }
    std::vector<std::string> lines;
    for (const auto& [rule, names] : layers) {
        std::string line = rule + ", " + std::to_string(names.size()) + " layers: " + names.front();
        for (std::size_t i = 1; i < std::min(names.size(), kShown); ++i) {
            line += ", " + names[i];
        }
        const std::size_t more = names.size() - std::min(names.size(), kShown);
        lines.push_back(line + (more > 0 ? " and " + std::to_string(more) + " more" : ""));
    }
    return lines;
}

void print_plan(std::ostream& out, const Plan& plan, const Estimate& estimate)
{
    std::map<std::string, int64_t> counts;
    for (const PlannedLayer& layer : plan.layers) {
        const bool quantized = layer.scheme.is_quantized();
        ++counts[quantized ? scheme_name(layer.scheme) : "kept (" + layer.reason + ")"];
    }
    std::vector<Row> rows;
    for (const auto& [scheme, count] : counts) {
        rows.push_back({"layers " + scheme, std::to_string(count)});
    }
    rows.push_back({"bits per weight", fixed_text(estimate.average_bits, 3)});
    rows.push_back({"export", "about " + bytes_text(estimate.export_bytes)});
    rows.push_back({"run folder", "about " + bytes_text(estimate.run_folder_bytes)});
    rows.push_back({"peak memory", "about " + bytes_text(estimate.peak_host_bytes)});
    if (estimate.peak_device_bytes > 0) {
        rows.push_back({"on the device", "about " + bytes_text(estimate.peak_device_bytes)});
    }
    print_columns(out, rows);
    for (const std::string& line : rule_lines(plan)) {
        out << line << '\n';
    }
}

} // namespace bitsmith::cli
