// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/widgets/support/recorded_run.h"

#include <algorithm>
#include <cmath>

namespace bitsmith::testing {

namespace {

struct Module
{
    const char* name;
    int64_t rows;
    int64_t columns;
    double sensitivity; ///< error relative to the usual layer
};

// Shapes of a model with 135 M parameters.
constexpr Module kModules[] = {
    {"self_attn.q_proj", 576, 576, 1.0},
    {"self_attn.k_proj", 192, 576, 1.4},
    {"self_attn.v_proj", 192, 576, 0.6},
    {"self_attn.o_proj", 576, 576, 0.5},
    {"mlp.gate_proj", 1536, 576, 0.9},
    {"mlp.up_proj", 1536, 576, 0.8},
    {"mlp.down_proj", 576, 1536, 0.7},
};

class Script
{
public:
    explicit Script(const RunScript& script)
        : m_script(script)
        , m_time(script.startMs)
        , m_random(script.seed)
    { }

    std::vector<Event> play()
    {
        begin();
        plan();
        stage(Stage::Tune, "30 blocks");
        for (int64_t block = 0; block < m_script.blocks; ++block) {
            if (!m_script.finish && block + 1 == m_script.blocks) {
                steps(block, m_script.iters / 2);
                return std::move(m_events);
            }
            tune(block);
        }
        done(Stage::Tune, static_cast<double>(m_script.blocks) * 2.4);
        finish();
        return std::move(m_events);
    }

private:
    void emitEvent(EventBody body, int64_t afterMs = 0)
    {
        m_time += afterMs;
        m_events.push_back({m_sequence++, m_time, std::move(body)});
    }
    void stage(Stage stage, std::string detail)
    {
        emitEvent(StageStarted{stage, std::move(detail)});
    }
    void done(Stage stage, double seconds) { emitEvent(StageFinished{stage, seconds}); }
    /// Uniform in [0, 1), the same on every platform.
    double chance()
    {
        m_random = m_random * 6364136223846793005ULL + 1442695040888963407ULL;
        return static_cast<double>(m_random >> 11) / 9007199254740992.0;
    }
    double around(double value, double spread)
    {
        return value * std::exp(spread * (chance() + chance() - 1));
    }
    /// Columns of 576 leave no room for groups of 128; the down projections of the outer blocks get
    /// more bits.
    bool isException(int64_t block, const Module& module) const
    {
        return std::string_view(module.name) == "mlp.down_proj"
            && (block < 2 || block >= m_script.blocks - 1);
    }
    static Scheme schemeOf(int64_t bits)
    {
        Scheme scheme;
        scheme.bits = bits;
        scheme.group_size = 64;
        return scheme;
    }
    static std::string layerName(int64_t block, const Module& module)
    {
        return "model.layers." + std::to_string(block) + "." + module.name;
    }

    void begin()
    {
        JobStarted job;
        job.run = "runs/demo";
        job.model = "SmolLM2-135M-Instruct.gguf";
        job.scheme = "W4A16G64";
        job.recipe = "default";
        job.device = "cpu";
        job.blocks = m_script.blocks;
        job.iters = m_script.iters;
        job.resumed_blocks = m_script.resumedBlocks;
        emitEvent(job);
        stage(Stage::Load, "reading headers");
        emitEvent(LogLine{"source", "GGUF v3, 272 tensors, 135 M parameters"}, 240);
        emitEvent(LogLine{"tensor", "device cpu, 2 threads, float32"}, 10);
        emitEvent(MemorySample{212000000, 212000000, 0, 0}, 50);
        done(Stage::Load, 0.4);
        stage(Stage::Calibrate, "the model writes its own text");
        for (int64_t sample = 8; sample <= 64; sample += 8) {
            emitEvent(StageProgress{Stage::Calibrate, sample, 64, "samples"}, 1300);
        }
        emitEvent(CalibrationReady{64, 56, 8, 256, 16384, "self"});
        done(Stage::Calibrate, 10.6);
    }

    void plan()
    {
        stage(Stage::Plan, "schemes of all layers");
        PlanReady ready;
        double bits = 0;
        double weights = 0;
        for (int64_t block = 0; block < m_script.blocks; ++block) {
            for (const Module& module : kModules) {
                const bool exception = isException(block, module);
                const Scheme scheme = schemeOf(exception ? 8 : 4);
                ready.plan.layers.push_back(
                    {layerName(block, module), block, module.rows, module.columns, scheme,
                        exception ? "override '*down_proj' of the outer blocks" : "default"});
                const double size = static_cast<double>(module.rows * module.columns);
                bits += size * (exception ? 8.375 : 4.3125);
                weights += size;
            }
        }
        ready.plan.layers.push_back(
            {"lm_head", -1, 49152, 576, keep_scheme(), "tied to the embedding"});
        ready.average_bits = bits / weights;
        emitEvent(std::move(ready), 30);
        emitEvent(Warning{"V14", "lm_head shares the embedding and stays at 16 bits"});
        done(Stage::Plan, 0.03);
    }

    double roundingLoss(int64_t block) const
    {
        const double depth = static_cast<double>(block) / static_cast<double>(m_script.blocks);
        return 2.1e-4 * std::exp(4.2 * depth) * (block + 1 == m_script.blocks ? 3.5 : 1);
    }

    void steps(int64_t block, int64_t count)
    {
        emitEvent(BlockStarted{block, std::size(kModules), m_script.iters}, 60);
        const double start = roundingLoss(block);
        const double floor = start * (0.46 + 0.12 * std::sin(static_cast<double>(block)));
        double best = start;
        for (int64_t step = 0; step < count; ++step) {
            const double part = static_cast<double>(step)
                / static_cast<double>(std::max<int64_t>(1, m_script.iters));
            const double loss =
                around(floor + (start - floor) * std::exp(-4.5 * part), 0.09 * (1.2 - part));
            best = std::min(best, loss);
            emitEvent(IterationDone{block, step, loss, best,
                          (1 - part) / static_cast<double>(m_script.iters)},
                44);
        }
        m_kept = floor + (start - floor) * 0.02;
    }

    void layers(int64_t block)
    {
        for (const Module& module : kModules) {
            const bool exception = isException(block, module);
            const double depth = static_cast<double>(block) / static_cast<double>(m_script.blocks);
            const double ratio = around(
                (exception ? 4.6e-5 : 1.15e-2) * module.sensitivity * (1 + 0.8 * depth * depth),
                0.35);
            LayerFinished layer;
            layer.block = block;
            layer.layer = layerName(block, module);
            layer.scheme = exception ? "W8A16G64" : "W4A16G64";
            layer.bits = exception ? 8.375 : 4.3125;
            layer.mse = ratio * around(8e-3, 0.2);
            layer.cosine = 1 - ratio / 2;
            layer.sqnr_db = -10 * std::log10(ratio);
            layer.out_mse = layer.mse * 40;
            layer.out_sqnr_db = layer.sqnr_db + 3.5 + 2 * chance();
            emitEvent(layer, 3);
        }
    }

    void tune(int64_t block)
    {
        const bool resumed = block < m_script.resumedBlocks;
        if (resumed) {
            m_kept = roundingLoss(block) * 0.5;
        } else {
            steps(block, m_script.iters);
        }
        layers(block);
        const double rounding = roundingLoss(block);
        const int64_t best =
            std::max<int64_t>(0, m_script.iters - 1 - static_cast<int64_t>(chance() * 8));
        emitEvent(
            BlockFinished{block, rounding * 1.12, rounding, m_kept, resumed ? 0 : m_script.iters,
                best, resumed ? 0 : 2.2 + 0.5 * chance(), resumed},
            20);
        const auto rss = static_cast<int64_t>(604e6 + 24e6 * chance());
        m_peak = std::max(m_peak, rss);
        emitEvent(MemorySample{rss, m_peak, 0, 0});
        emitEvent(LogLine{"run", "block " + std::to_string(block) + " saved"});
    }

    void finish()
    {
        stage(Stage::Export, "auto_round, gguf");
        emitEvent(StageProgress{Stage::Export, 272, 272, "tensors"}, 900);
        emitEvent(
            ExportFinished{"auto_round", "runs/demo/exports/auto_round", 138400000, true}, 700);
        emitEvent(
            ExportFinished{"gguf:q8_0", "runs/demo/exports/model.gguf", 144800000, true}, 600);
        done(Stage::Export, 2.2);
        stage(Stage::Evaluate, "4096 tokens against the original");
        for (int64_t tokens = 512; tokens <= 4096; tokens += 512) {
            emitEvent(StageProgress{Stage::Evaluate, tokens, 4096, "tokens"}, 1200);
        }
        const std::string text = "held-out calibration text";
        emitEvent(MetricReady{text, "ppl", 19.84, 19.02});
        emitEvent(MetricReady{text, "kld_mean", 0.0462, {}});
        emitEvent(MetricReady{text, "kld_p99", 0.417, {}});
        emitEvent(MetricReady{text, "kld_max", 2.31, {}});
        emitEvent(MetricReady{text, "top1_agreement", 0.907, {}});
        done(Stage::Evaluate, 9.8);
        emitEvent(JobFinished{
            JobState::Done, {}, {}, static_cast<double>(m_time - m_script.startMs) / 1000});
    }

    RunScript m_script;
    std::vector<Event> m_events;
    int64_t m_sequence = 0;
    int64_t m_time;
    uint64_t m_random;
    double m_kept = 0;
    int64_t m_peak = 0;
};

} // namespace

std::vector<Event> scriptedRun(const RunScript& script)
{
    return Script(script).play();
}

} // namespace bitsmith::testing
