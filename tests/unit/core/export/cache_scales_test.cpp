// SPDX-License-Identifier: GPL-3.0-or-later
// Scales of an 8-bit key/value cache in exports (formats.md 5.9).
#include "export/auto_round.h"
#include "export/compressed_tensors.h"
#include "export/compressed_tensors_config.h"
#include "source/hf_weights.h"
#include "support/encoded_plan.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "support/test_main.h"
#include "tensor/safetensors_reader.h"
#include "tensor/safetensors_writer.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;

namespace {

/// Layers with the maxima of caches: keys 448, 896 ..., values a tenth.
struct CachedLayers : test::MemoryLayers
{
    quant::CacheMaxima cache(int64_t block) const override
    {
        const double largest = 448.0 * static_cast<double>(block + 1);
        return {at::full({1}, largest, at::kFloat), at::full({1}, largest / 10, at::kFloat)};
    }
};

struct Fixture
{
    Fixture()
    {
        test::plan_encoded(model, parse_scheme("W4A16G32"));
        store.layers = model.layers.layers;
        model.spec.recipe.static_kv_dtype = CacheType::Fp8;
    }
    ExportInput input() const { return {model.model, model.plan, store, model.spec}; }
    void publish(const Exporter& exporter, const ExportInput& from)
    {
        publish_export(context, disk(), exporter, from, folder / "out");
    }
    std::vector<std::string> findings() const
    {
        const ExportInput expected = input();
        return CompressedTensorsExporter().verify(folder / "out", &expected);
    }

    test::ExportModel model{test::llama_config()};
    CachedLayers store;
    TempFolder folder;
    NullObserver observer;
    EventEmitter events{observer};
    RunContext context{events, {}};
};

} // namespace

class CacheScalesTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void describesAndStoresTheScales();
    void leavesTheScalesOutWhereTheyAreNotAskedFor();
    void findsChangedScales();
    void readsTheModelWithoutThem();
    void refusesWhatCannotHoldThem();
    void wantsTheMaxima();
};

void CacheScalesTest::describesAndStoresTheScales()
{
    Fixture f;
    f.publish(CompressedTensorsExporter(), f.input());
    const Json config = read_json_file(f.folder / "out" / "config.json")["quantization_config"];
    const Json expected = {{"num_bits", 8}, {"type", "float"}, {"symmetric", true},
        {"strategy", "tensor"}, {"group_size", nullptr}, {"dynamic", false}};
    QCOMPARE(config["kv_cache_scheme"], expected);
    const auto stored = source::open_hf_weights(f.folder / "out").tensors;
    for (int block = 0; block < 2; ++block) {
        const std::string module = "model.layers." + std::to_string(block) + ".self_attn.";
        const at::Tensor keys = stored->load(module + "k_scale");
        QVERIFY(at::equal(keys, at::full({1}, block + 1, at::kFloat)));
        const at::Tensor values = stored->load(module + "v_scale");
        QVERIFY(at::allclose(values, at::full({1}, (block + 1) / 10.0, at::kFloat)));
        QCOMPARE(values.scalar_type(), at::kFloat);
    }
    QCOMPARE(f.findings(), std::vector<std::string>());
}

void CacheScalesTest::leavesTheScalesOutWhereTheyAreNotAskedFor()
{
    Fixture f;
    f.model.spec.recipe.static_kv_dtype = CacheType::None;
    f.publish(CompressedTensorsExporter(), f.input());
    QCOMPARE(compressed_tensors_config(f.input())["kv_cache_scheme"], Json());
    const auto stored = source::open_hf_weights(f.folder / "out").tensors;
    QVERIFY(stored->find("model.layers.0.self_attn.k_scale") == nullptr);
}

void CacheScalesTest::findsChangedScales()
{
    Fixture f;
    f.publish(CompressedTensorsExporter(), f.input());
    const std::string name = "model.layers.1.self_attn.v_scale";
    const auto file = f.folder / "out" / "model.safetensors";
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    {
        const tensor::SafetensorsReader reader(map_file(file));
        for (const tensor::TensorEntry& entry : reader.entries()) {
            tensors.emplace_back(entry.name, reader.load(entry.name).clone());
            if (entry.name == name) {
                tensors.back().second.mul_(2);
            }
        }
    }
    tensor::publish_safetensors(disk(), file, tensors, {{"format", "pt"}});
    const std::vector<std::string> findings = f.findings();
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY2(findings.front().find(name) != std::string::npos, findings.front().c_str());
}

void CacheScalesTest::readsTheModelWithoutThem()
{
    Fixture f;
    f.publish(CompressedTensorsExporter(), f.input());
    const auto opened = source::open_model((f.folder / "out").string());
    QVERIFY(opened->tensors->find("model.layers.0.self_attn.k_proj.weight") != nullptr);
    QVERIFY(opened->tensors->find("model.layers.0.self_attn.k_scale") == nullptr);
    QCOMPARE(opened->tensors->entries().size(), f.model.tensors->entries().size());
}

void CacheScalesTest::refusesWhatCannotHoldThem()
{
    Fixture f;
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({"auto_round", "cache", "llm_compressor"}),
        f.publish(AutoRoundExporter(), f.input()));
    QVERIFY(!std::filesystem::exists(f.folder / "out"));
    for (const Exporter* exporter : exporters()) {
        QVERIFY(exporter->cache_refusal(CacheType::None).empty());
        QCOMPARE(
            exporter->cache_refusal(CacheType::Fp8).empty(), exporter->id() == "llm_compressor");
    }
}

void CacheScalesTest::wantsTheMaxima()
{
    Fixture f;
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"k_scale", "calibration"}),
        f.publish(CompressedTensorsExporter(), f.model.input()));
}

BITSMITH_TEST(CacheScalesTest)
#include "cache_scales_test.moc"
