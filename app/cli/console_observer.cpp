// SPDX-License-Identifier: GPL-3.0-or-later
#include "console_observer.h"

#include "result_table.h"
#include "text_format.h"

#include <algorithm>

namespace bitsmith::cli {

namespace {

constexpr int64_t kRedrawMs = 100;
constexpr int64_t kPlainLineMs = 10'000;
constexpr int kBarWidth = 24;

/// At most `width` shown characters.
std::string cut(const std::string& text, int width)
{
    int shown = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
        shown += begins ? 1 : 0;
        if (shown > width) {
            return text.substr(0, i);
        }
    }
    return text;
}

} // namespace

void ConsoleObserver::on_event(const Event& event)
{
    now_ms_ = event.time_ms;
    std::visit([this](const auto& body) { show(body); }, event.body);
}

void ConsoleObserver::print(const std::string& line)
{
    clear_line();
    console_.err << line << '\n' << std::flush;
}

void ConsoleObserver::update(const std::string& line, bool important)
{
    const int64_t interval = console_.terminal ? kRedrawMs : kPlainLineMs;
    if (!important && now_ms_ - last_update_ms_ < interval) {
        return;
    }
    last_update_ms_ = now_ms_;
    if (!console_.terminal) {
        console_.err << line << '\n' << std::flush;
        return;
    }
    // Carriage return and "erase to end of line"; one column stays free against wrapping.
    console_.err << '\r' << cut(line, console_.width - 1) << "\033[K" << std::flush;
    line_shown_ = true;
}

void ConsoleObserver::clear_line()
{
    if (line_shown_) {
        console_.err << "\r\033[K" << std::flush;
        line_shown_ = false;
    }
}

std::string ConsoleObserver::bar(double done) const
{
    const int filled = static_cast<int>(std::clamp(done, 0.0, 1.0) * kBarWidth);
    return "[" + std::string(static_cast<std::size_t>(filled), '#')
        + std::string(static_cast<std::size_t>(kBarWidth - filled), '.') + "]";
}

std::string ConsoleObserver::eta() const
{
    if (computed_ == 0) {
        return {};
    }
    const double per_block = block_seconds_ / static_cast<double>(computed_);
    const double in_block = static_cast<double>(now_ms_ - block_start_ms_) / 1000;
    const double left =
        per_block * static_cast<double>(blocks_ - finished_) - std::min(in_block, per_block);
    return "  ETA " + seconds_text(std::max(0.0, left));
}

std::string ConsoleObserver::stage_eta(const StageProgress& e)
{
    const StageProgress& from = counted_from_;
    if (e.stage != from.stage || e.unit != from.unit || e.done <= from.done) {
        counted_from_ = e;
        counted_from_ms_ = now_ms_;
        return {};
    }
    const double seconds = static_cast<double>(now_ms_ - counted_from_ms_) / 1000;
    const double each = seconds / static_cast<double>(e.done - from.done);
    return "  ETA " + seconds_text(each * static_cast<double>(std::max(e.total, e.done) - e.done));
}

void ConsoleObserver::show(const JobStarted& e)
{
    blocks_ = e.blocks;
    print("run     " + e.run);
    print("model   " + e.model + ", " + std::to_string(e.blocks) + " blocks");
    print("scheme  " + e.scheme + ", recipe " + e.recipe + " (" + std::to_string(e.iters)
        + " steps), device " + e.device);
    if (e.resumed_blocks > 0) {
        print("resume  " + std::to_string(e.resumed_blocks) + " of " + std::to_string(e.blocks)
            + " blocks are finished");
    }
}

void ConsoleObserver::show(const StageStarted& e)
{
    const std::string name(enum_name(e.stage));
    print("== " + name + (e.detail.empty() ? "" : ": " + e.detail));
}

void ConsoleObserver::show(const StageFinished& e)
{
    print("   " + std::string(enum_name(e.stage)) + " took " + seconds_text(e.seconds));
}

void ConsoleObserver::show(const StageProgress& e)
{
    const double share =
        e.total > 0 ? static_cast<double>(e.done) / static_cast<double>(e.total) : 0;
    update((console_.terminal ? bar(share) + " " : "   ") + std::to_string(e.done) + "/"
            + std::to_string(e.total) + " " + e.unit + stage_eta(e),
        false);
}

void ConsoleObserver::show(const CalibrationReady& e)
{
    print("   " + std::to_string(e.samples + e.holdout) + " of " + std::to_string(e.asked)
        + " samples of " + std::to_string(e.seqlen) + " tokens, " + std::to_string(e.holdout)
        + " held out; " + e.origin);
}

void ConsoleObserver::show(const PlanReady& e)
{
    const auto quantized = std::count_if(e.plan.layers.begin(), e.plan.layers.end(),
        [](const PlannedLayer& layer) { return layer.scheme.is_quantized(); });
    print("   " + std::to_string(quantized) + " of " + std::to_string(e.plan.layers.size())
        + " layers are quantized, " + fixed_text(e.average_bits, 2)
        + " bits per weight on average");
    for (const std::string& line : rule_lines(e.plan)) {
        print("   " + line);
    }
}

void ConsoleObserver::show(const BlockStarted& e)
{
    iters_ = e.iters;
    block_start_ms_ = now_ms_;
}

void ConsoleObserver::show(const IterationDone& e)
{
    const double steps = static_cast<double>(std::max<int64_t>(iters_, 1));
    const double in_block = static_cast<double>(e.iteration + 1) / steps;
    const double blocks = static_cast<double>(std::max<int64_t>(blocks_, 1));
    const std::string where = "block " + std::to_string(e.block + 1) + "/" + std::to_string(blocks_)
        + "  step " + std::to_string(e.iteration + 1) + "/" + std::to_string(iters_) + "  loss "
        + number_text(e.loss) + eta();
    const std::string memory = rss_bytes_ > 0 ? "  " + bytes_text(rss_bytes_) : "";
    const std::string lead =
        console_.terminal ? bar((static_cast<double>(e.block) + in_block) / blocks) + " " : "   ";
    update(lead + where + memory, false);
}

void ConsoleObserver::show(const BlockFinished& e)
{
    finished_ = e.block + 1;
    if (e.resumed) {
        return;
    }
    ++computed_;
    block_seconds_ += e.seconds;
    block_start_ms_ = now_ms_;
    const std::string line = "   block " + std::to_string(e.block + 1) + "/"
        + std::to_string(blocks_) + "  loss " + number_text(e.loss) + " (start "
        + number_text(e.loss_start) + ", rounding " + number_text(e.loss_rtn) + ")  "
        + seconds_text(e.seconds) + eta();
    const bool last = finished_ == blocks_;
    // A large model has minutes per block, a tiny one hundreds of blocks a minute.
    update(line, last || e.seconds >= 2);
}

void ConsoleObserver::show(const ExportFinished& e)
{
    print("   " + e.format + ": " + e.path + ", " + bytes_text(e.bytes)
        + (e.verified ? ", verified" : ""));
}

void ConsoleObserver::show(const MetricReady& e)
{
    print("   " + e.metric + " " + number_text(e.value)
        + (e.reference ? " (original " + number_text(*e.reference) + ")" : "") + ", " + e.task);
}

void ConsoleObserver::show(const MemorySample& e)
{
    rss_bytes_ = e.device_bytes > 0 ? e.device_bytes : e.rss_bytes;
}

void ConsoleObserver::show(const Warning& e)
{
    print("warning: " + e.text + (e.id.empty() ? "" : " [" + e.id + "]"));
}

void ConsoleObserver::show(const JobPaused&)
{
    print("paused");
}

void ConsoleObserver::show(const JobResumed&)
{
    print("going on");
}

} // namespace bitsmith::cli
