// SPDX-License-Identifier: GPL-3.0-or-later
// What a run tuned is what our reader gives back, for every format and every scheme that it takes.
#include "export/gguf/gguf_exporter.h"
#include "export/mlx_config.h"
#include "export/mlx_layout.h"
#include "quant/affine.h"
#include "support/encoded_plan.h"
#include "support/same_bits.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/check.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;

class RoundTripTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyFormatTakesASchemeOfTheCatalogue();
    void givesTheTunedWeights_data();
    void givesTheTunedWeights();
    void roundsNothingInModelsOfFp32_data();
    void roundsNothingInModelsOfFp32();
    void givesTheWeightsOfStackedExperts_data();
    void givesTheWeightsOfStackedExperts();
    void givesStackedExpertsThatAreNotQuantized_data();
    void givesStackedExpertsThatAreNotQuantized();
};

namespace {

/// The narrowest layers that hold super-blocks of K types, two groups of 128, and tiles of FP8.
const source::TinyModelShape kShape = {
    .blocks = 1, .hidden = 256, .inner = 256, .heads = 8, .kv_heads = 4, .is_tied = true};

/// Families whose experts MLX and GGUF stack.
constexpr const char* kMixtures[] = {"mixtral", "qwen3_moe", "gpt_oss"};

/// What a run of a scheme leaves: the plan that a job gets, and codes of its layers.
struct Run
{
    JobSpec spec;
    Plan plan;
    test::MemoryLayers layers;
};

Run run_of(const std::string& scheme, const ModelInfo& model)
{
    Run run;
    run.spec.scheme.scheme = scheme;
    run.plan = build_plan(run.spec, model);
    at::manual_seed(11);
    for (const PlannedLayer& layer : run.plan.layers) {
        if (layer.scheme.is_quantized()) {
            run.layers.layers.emplace(
                layer.name, test::encoded_weight(layer.scheme, layer.rows, layer.columns));
        }
    }
    return run;
}

/// Whether `exporter` offers to hold what `scheme` makes of the model.
bool takes(const Exporter& exporter, const std::string& scheme, const ModelInfo& model)
{
    JobSpec spec;
    spec.scheme.scheme = scheme;
    const Plan plan = build_plan(spec, model);
    return first_quantized(plan) != nullptr
        && std::all_of(plan.layers.begin(), plan.layers.end(),
            [&](const PlannedLayer& layer) { return exporter.refusal(layer.scheme).empty(); });
}

/// What the files of a format hold of a layer whose weight the model has in `type`: the tuned
/// values, but for the formats that store floating point values in that type. They round them to it,
/// as their notes say: `fake` the weights, MLX both parts of W = scale * code + offset
/// (formats.md 8).
at::Tensor held_values(
    const std::string& format, const quant::QuantizedWeight& weight, c10::ScalarType type)
{
    if (format == "mlx" && quant::is_affine(weight.scheme)) {
        const AffineGroups groups = affine_groups(weight, type, {});
        const auto spread = [&](const at::Tensor& values) {
            return values.to(at::kFloat).repeat_interleave(weight.scheme.group_size, 1);
        };
        return weight.codes.to(at::kFloat) * spread(groups.scales) + spread(groups.biases);
    }
    const at::Tensor tuned = quant::codec_for(weight.scheme).decode(weight);
    return format == "fake" ? tuned.to(type).to(at::kFloat) : tuned;
}

std::shared_ptr<const source::ModelSource> reopened(const std::string& format,
    const source::ModelSource& model, const Run& run, const TempFolder& folder)
{
    NullObserver silent;
    EventEmitter events(silent);
    RunContext context{events, {}};
    exporter_for(format).write(
        context, disk(), {model, run.plan, run.layers, run.spec}, folder.path());
    return source::open_model(
        (format == "gguf" ? gguf_file_in(folder.path()) : folder.path()).string());
}

/// The first layer of a model of bf16 that is read otherwise than its format holds it; empty: none.
std::string different_layer(
    const std::string& format, const source::ModelSource& model, const Run& run)
{
    const TempFolder folder;
    const auto opened = reopened(format, model, run, folder);
    for (const auto& [name, weight] : run.layers.layers) {
        const at::Tensor found = opened->tensors->load(name + ".weight").to(at::kFloat);
        if (!same_bits(found, held_values(format, weight, at::kBFloat16))) {
            return name;
        }
    }
    return run.layers.layers.empty() ? "no layer was quantized" : "";
}

std::shared_ptr<const source::ModelSource> tiny_model()
{
    static const TinyCheckpoint tiny(kShape);
    static const auto model = source::open_model(tiny.path());
    return model;
}

/// A row per format, or for `only` one, and scheme of the catalogue that it takes.
void add_pairs(std::string_view only = {})
{
    QTest::addColumn<std::string>("format");
    QTest::addColumn<std::string>("scheme");
    for (const Exporter* exporter : exporters()) {
        const std::string format(exporter->id());
        for (const SchemeInfo& info : scheme_catalog()) {
            const bool counts = only.empty() || only == format;
            if (counts && takes(*exporter, info.name, tiny_model()->info)) {
                QTest::newRow((format + " " + info.name).c_str()) << format << info.name;
            }
        }
    }
}

} // namespace

void RoundTripTest::everyFormatTakesASchemeOfTheCatalogue()
{
    for (const Exporter* exporter : exporters()) {
        const auto& schemes = scheme_catalog();
        const bool has_scheme =
            std::any_of(schemes.begin(), schemes.end(), [&](const SchemeInfo& info) {
                return takes(*exporter, info.name, tiny_model()->info);
            });
        QVERIFY2(has_scheme, std::string(exporter->id()).c_str());
    }
}

void RoundTripTest::givesTheTunedWeights_data()
{
    add_pairs();
}

void RoundTripTest::givesTheTunedWeights()
{
    QFETCH(std::string, format);
    QFETCH(std::string, scheme);
    const auto model = tiny_model();
    const Run run = run_of(scheme, model->info);
    QCOMPARE(different_layer(format, *model, run), std::string());
}

void RoundTripTest::roundsNothingInModelsOfFp32_data()
{
    add_pairs("mlx");
}

// fp32 holds scales and offsets of MLX as they are, so that its integers too are the tuned ones.
void RoundTripTest::roundsNothingInModelsOfFp32()
{
    QFETCH(std::string, format);
    QFETCH(std::string, scheme);
    static const TinyCheckpoint tiny(kShape);
    static const auto model = [] {
        tiny.edit_tensors([](TinyCheckpoint::Tensors& tensors) {
            for (auto& [name, values] : tensors) {
                values = values.to(at::kFloat);
            }
        });
        return source::open_model(tiny.path());
    }();
    const Run run = run_of(scheme, model->info);
    const TempFolder folder;
    const auto opened = reopened(format, *model, run, folder);
    for (const auto& [name, weight] : run.layers.layers) {
        const at::Tensor found = opened->tensors->load(name + ".weight");
        const at::Tensor tuned = quant::codec_for(weight.scheme).decode(weight);
        // Equal, not of the same bits: a sum of a product and an offset has no -0.
        QVERIFY2(at::equal(found, tuned), name.c_str());
    }
}

void RoundTripTest::givesTheWeightsOfStackedExperts_data()
{
    QTest::addColumn<std::string>("family");
    QTest::addColumn<std::string>("format");
    QTest::addColumn<std::string>("scheme");
    for (const char* family : kMixtures) {
        const auto row = [family](const char* format, const char* scheme) {
            QTest::addRow("%s, %s %s", family, format, scheme)
                << std::string(family) << std::string(format) << std::string(scheme);
        };
        row("mlx", "W4A16G32");
        row("mlx", "W3A16G32_ASYM");
        row("mlx", "MXFP4A16");
        row("mlx", "MXFP8A16");
        row("gguf", "gguf:q4_0");
    }
}

void RoundTripTest::givesTheWeightsOfStackedExperts()
{
    QFETCH(std::string, family);
    QFETCH(std::string, format);
    QFETCH(std::string, scheme);
    const test::ExportModel model(test::experts_config(family));
    const Run run = run_of(scheme, model.model.info);
    QCOMPARE(different_layer(format, model.model, run), std::string());
}

void RoundTripTest::givesStackedExpertsThatAreNotQuantized_data()
{
    QTest::addColumn<std::string>("family");
    for (const char* family : kMixtures) {
        QTest::newRow(family) << std::string(family);
    }
}

void RoundTripTest::givesStackedExpertsThatAreNotQuantized()
{
    QFETCH(std::string, family);
    const test::ExportModel model(test::experts_config(family));
    Run run = run_of("W4A16G32", model.model.info);
    for (PlannedLayer& layer : run.plan.layers) {
        const bool is_expert = layer.name.find(".experts.") != std::string::npos;
        layer.scheme = is_expert ? keep_scheme() : layer.scheme;
    }
    const TempFolder folder;
    const auto opened = reopened("mlx", model.model, run, folder);
    for (const ExpertStack& stack : expert_stacks(model.model.spec)) {
        const at::Tensor weights = stack_weights(model.model, stack);
        const at::Tensor biases = stack.has_bias ? stack_biases(model.model, stack) : at::Tensor();
        for (int64_t e = 0; e < stack.experts(); ++e) {
            const std::string& expert = stack.layers[static_cast<std::size_t>(e)];
            QVERIFY2(
                at::equal(opened->tensors->load(expert + ".weight"), weights[e]), expert.c_str());
            QVERIFY2(
                !stack.has_bias || at::equal(opened->tensors->load(expert + ".bias"), biases[e]),
                expert.c_str());
        }
    }
}

BITSMITH_TEST(RoundTripTest)
#include "round_trip_test.moc"
