// SPDX-License-Identifier: GPL-3.0-or-later
// Longest stall of the window's event loop while a job reports 10,000 events a second: queue ->
// RunState -> Run page, offscreen. Prints one JSON document. Bar: 50 ms (product.md 5).
#include "app/gui/job_controller.h"
#include "widgets/pages/run_page.h"
#include "widgets/state/run_state.h"
#include "widgets/theme/theme.h"

#include <bitsmith/scheme.h>

#include <QApplication>
#include <QElapsedTimer>
#include <QTimer>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

using namespace bitsmith;

namespace {

constexpr int64_t kBlocks = 80;
constexpr int64_t kModules = 7;
constexpr int64_t kEventsPerSecond = 10000;
constexpr int64_t kEvents = 100000;

std::string layerName(int64_t block, int64_t module)
{
    static const char* names[kModules] = {"self_attn.q_proj", "self_attn.k_proj",
        "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};
    return "model.layers." + std::to_string(block) + "." + names[module];
}

std::vector<Event> makeEvents()
{
    std::vector<Event> events;
    const auto add = [&events](EventBody body) {
        const auto at = static_cast<int64_t>(events.size());
        events.push_back({at, at / 10, std::move(body)});
    };
    JobStarted job;
    job.model = "bench";
    job.blocks = kBlocks;
    job.iters = kEvents / kBlocks;
    add(job);
    PlanReady plan;
    for (int64_t block = 0; block < kBlocks; ++block) {
        for (int64_t module = 0; module < kModules; ++module) {
            plan.plan.layers.push_back(
                {layerName(block, module), block, 4096, 4096, Scheme(), "default"});
        }
    }
    add(plan);
    add(StageStarted{Stage::Tune, {}});
    for (int64_t block = 0; block < kBlocks; ++block) {
        add(BlockStarted{block, kModules, job.iters});
        for (int64_t step = 0; step < job.iters - 12; ++step) {
            const double loss = 1.0 / static_cast<double>(step + 10);
            add(IterationDone{block, step, loss, loss, 0.01});
        }
        for (int64_t module = 0; module < kModules; ++module) {
            LayerFinished layer;
            layer.block = block;
            layer.layer = layerName(block, module);
            layer.scheme = "W4A16";
            layer.bits = 4.15;
            layer.mse = 1e-5 * static_cast<double>(block + 1);
            layer.cosine = 0.999;
            layer.sqnr_db = 20;
            add(layer);
        }
        add(BlockFinished{block, 0.02, 0.018, 0.01, job.iters, job.iters - 1, 1, false});
        add(LogLine{"run", "block saved"});
        add(MemorySample{1 << 30, 1 << 30, 0, 0});
    }
    add(JobFinished());
    return events;
}

/// Reports at a fixed rate, whatever the window does.
class RateRunner : public gui::Runner
{
public:
    explicit RateRunner(std::vector<Event> events)
        : m_events(std::move(events))
    { }
    Outcome run(const JobSpec&, bool, Observer& observer, RunControl control) override
    {
        const auto start = std::chrono::steady_clock::now();
        for (std::size_t i = 0; i < m_events.size(); ++i) {
            if (i % 10 == 0) {
                std::this_thread::sleep_until(
                    start + std::chrono::microseconds(i * 1000000 / kEventsPerSecond));
                if (control.cancelled()) {
                    break;
                }
            }
            observer.on_event(m_events[i]);
        }
        return {};
    }

private:
    std::vector<Event> m_events;
};

double percentile(std::vector<double> values, double share)
{
    if (values.empty()) {
        return 0;
    }
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

} // namespace

int main(int argc, char** argv)
{
    qputenv("QT_QPA_PLATFORM", "offscreen");
    QApplication app(argc, argv);
    ui::Theme theme(&app);
    ui::RunState state;
    ui::RunPage page(&state);
    page.resize(1440, 900);
    page.show();
    gui::JobController controller(std::make_unique<RateRunner>(makeEvents()));
    QObject::connect(&controller, &gui::JobController::eventsArrived, &state, &ui::RunState::fold);
    QObject::connect(&controller, &gui::JobController::finished, &app, &QApplication::quit);

    // A timer that should fire every millisecond measures the gaps between turns of the loop.
    std::vector<double> gaps;
    QElapsedTimer clock;
    QTimer pulse;
    pulse.setTimerType(Qt::PreciseTimer);
    QObject::connect(&pulse, &QTimer::timeout, &app, [&] {
        gaps.push_back(static_cast<double>(clock.nsecsElapsed()) / 1e6);
        clock.start();
    });
    QElapsedTimer whole;
    whole.start();
    clock.start();
    pulse.start(1);
    controller.start({}, false);
    QApplication::exec();

    const double longest = gaps.empty() ? 0 : *std::max_element(gaps.begin(), gaps.end());
    std::printf("{\"benchmark\": \"event_stall\", \"events\": %lld, \"events_per_second\": %lld, "
                "\"thinned\": %zu, \"seconds\": %.2f, \"longest_stall_ms\": %.1f, "
                "\"p99_gap_ms\": %.1f, \"median_gap_ms\": %.2f, \"bar_ms\": 50, \"blocks_done\": "
                "%d}\n",
        static_cast<long long>(kEvents), static_cast<long long>(kEventsPerSecond),
        controller.queue().thinned(), static_cast<double>(whole.elapsed()) / 1000, longest,
        percentile(gaps, 0.99), percentile(gaps, 0.5), state.picture().blocksDone());
    return state.picture().blocksDone() == kBlocks ? 0 : 1;
}
