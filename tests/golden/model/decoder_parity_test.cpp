// SPDX-License-Identifier: GPL-3.0-or-later
// Our decoder against transformers: tiny random models made by tests/golden/make_models.sh, with
// the embedding, every block's output and the logits that transformers computed in fp32
// (models.md 5.1 and 5.2).
#include "arch/registry.h"
#include "model/causal_lm.h"
#include "model/spec_check.h"
#include "support/test_main.h"
#include "tensor/safetensors_reader.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <filesystem>
#include <set>

using namespace bitsmith;
namespace fs = std::filesystem;

namespace {

constexpr double kBlockLimit = 1e-5;
constexpr double kLogitsLimit = 5e-5;

fs::path models_folder()
{
    if (const char* given = std::getenv("BITSMITH_GOLDEN_MODELS")) {
        return given;
    }
    if (const char* cache = std::getenv("BITSMITH_CACHE")) {
        return fs::path(cache) / "golden-models";
    }
    const char* home = std::getenv("HOME");
    return fs::path(home ? home : ".") / ".cache" / "bitsmith" / "golden-models";
}

std::shared_ptr<const tensor::SafetensorsReader> open(const fs::path& file)
{
    return std::make_shared<tensor::SafetensorsReader>(map_file(file));
}

/// max |a - b| / max |b|.
double relative_error(const at::Tensor& a, const at::Tensor& b)
{
    if (a.sizes() != b.sizes()) {
        return std::numeric_limits<double>::infinity();
    }
    return ((a - b).abs().max() / b.abs().max()).item<double>();
}

struct Golden
{
    std::shared_ptr<const tensor::SafetensorsReader> weights, values;
    std::unique_ptr<model::CausalLm> model;

    explicit Golden(const fs::path& folder)
        : weights(open(folder / "model.safetensors"))
        , values(open(folder / "golden.safetensors"))
    {
        const Json config = read_json_file(folder / "config.json");
        model = std::make_unique<model::CausalLm>(
            arch::family_for(config).spec_from_config(config), weights, at::kFloat);
    }
    at::Tensor value(const std::string& name) const { return values->load(name); }
    at::Tensor input_of(int64_t block) const
    {
        return value(block == 0 ? "block_0_in" : "block_" + std::to_string(block - 1) + "_out");
    }
};

} // namespace

class DecoderParityTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void embedsAsTransformersDoes_data() { add_rows(); }
    void embedsAsTransformersDoes();
    void runsEachBlockAloneAsTransformersDoes_data() { add_rows(); }
    void runsEachBlockAloneAsTransformersDoes();
    void givesTheSameLogitsEndToEnd_data() { add_rows(); }
    void givesTheSameLogitsEndToEnd();
    void leavesNoTensorOfTheCheckpointOver_data() { add_rows(); }
    void leavesNoTensorOfTheCheckpointOver();
    void continuesFromACacheAsInOneGo_data() { add_rows(); }
    void continuesFromACacheAsInOneGo();
    void namesTheLayersInExecutionOrder_data() { add_rows(); }
    void namesTheLayersInExecutionOrder();

private:
    void add_rows();
    std::unique_ptr<Golden> load_row();
};

void DecoderParityTest::initTestCase()
{
    if (!fs::is_directory(models_folder())) {
        QSKIP("no golden models: run tests/golden/make_models.sh (needs the Python environment)");
    }
}

void DecoderParityTest::add_rows()
{
    QTest::addColumn<QString>("folder");
    for (const char* name : {"llama", "llama_tied_rope_llama3", "llama_bias_linear",
             "llama_dynamic", "llama_yarn", "mistral", "mixtral", "qwen2", "qwen2_sliding", "qwen3",
             "qwen3_moe", "gemma", "gemma2", "gemma3_text", "phi3", "phi3_longrope", "gpt_oss"}) {
        QTest::newRow(name) << QString(name);
    }
}

std::unique_ptr<Golden> DecoderParityTest::load_row()
{
    QFETCH(QString, folder);
    return std::make_unique<Golden>(models_folder() / folder.toStdString());
}

void DecoderParityTest::embedsAsTransformersDoes()
{
    const auto golden = load_row();
    const at::Tensor hidden = golden->model->embed(golden->value("input_ids"));
    QVERIFY(relative_error(hidden, golden->value("block_0_in")) <= 1e-6);
}

void DecoderParityTest::runsEachBlockAloneAsTransformersDoes()
{
    const auto golden = load_row();
    const at::Tensor ids = golden->value("input_ids");
    const model::BlockShared shared = golden->model->shared(ids.size(1));
    for (int64_t i = 0; i < golden->model->n_blocks(); ++i) {
        const auto block = golden->model->load_block(i);
        const at::Tensor out = block->forward(golden->input_of(i), shared);
        const double error = relative_error(out, golden->input_of(i + 1));
        QVERIFY2(error <= kBlockLimit, qPrintable(QString("block %1: %2").arg(i).arg(error)));
    }
}

void DecoderParityTest::givesTheSameLogitsEndToEnd()
{
    const auto golden = load_row();
    const at::Tensor ids = golden->value("input_ids");
    at::Tensor hidden = golden->model->embed(ids);
    const model::BlockShared shared = golden->model->shared(ids.size(1));
    for (int64_t i = 0; i < golden->model->n_blocks(); ++i) {
        hidden = golden->model->load_block(i)->forward(hidden, shared);
    }
    const double error = relative_error(golden->model->logits(hidden), golden->value("logits"));
    QVERIFY2(error <= kLogitsLimit, qPrintable(QString::number(error)));
}

void DecoderParityTest::leavesNoTensorOfTheCheckpointOver()
{
    const auto golden = load_row();
    const model::DecoderSpec& spec = golden->model->spec();
    std::set<std::string> left;
    for (const tensor::TensorEntry& entry : golden->weights->entries()) {
        left.insert(entry.name);
    }
    for (const std::string& name : model::outer_tensor_names(spec)) {
        QVERIFY2(left.erase(name) == 1, name.c_str());
    }
    for (int64_t i = 0; i < golden->model->n_blocks(); ++i) {
        for (const model::ExpectedTensor& expected : model::expected_block_tensors(spec, i)) {
            QVERIFY2(left.erase(expected.name) == 1, expected.name.c_str());
        }
    }
    QVERIFY2(left.empty(), left.empty() ? "" : left.begin()->c_str());
}

void DecoderParityTest::continuesFromACacheAsInOneGo()
{
    QFETCH(QString, folder);
    if (folder == "llama_dynamic" || folder == "phi3_longrope") {
        QSKIP("frequencies follow the length reached, so the past keys turn differently");
    }
    const auto golden = load_row();
    const at::Tensor ids = golden->value("input_ids");
    const int64_t tokens = ids.size(1);
    for (int64_t i = 0; i < golden->model->n_blocks(); ++i) {
        const auto block = golden->model->load_block(i);
        const at::Tensor input = golden->input_of(i);
        model::KvCache cache;
        std::vector<at::Tensor> parts;
        for (const auto& [begin, count] :
            {std::pair<int64_t, int64_t>{0, 10}, {10, 6}, {16, 1}, {17, tokens - 17}}) {
            const model::BlockShared shared = golden->model->shared(count, begin);
            parts.push_back(block->forward(input.narrow(1, begin, count), shared, &cache));
        }
        QCOMPARE(cache.past(), tokens);
        const double error = relative_error(at::cat(parts, 1), golden->input_of(i + 1));
        QVERIFY2(error <= kBlockLimit, qPrintable(QString("block %1: %2").arg(i).arg(error)));
    }
}

void DecoderParityTest::namesTheLayersInExecutionOrder()
{
    struct Recorder : model::LinearHook
    {
        std::vector<std::string> names;
        at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override
        {
            names.push_back(linear.name);
            return linear.product(x, linear.weight);
        }
    };
    const auto golden = load_row();
    const at::Tensor ids = golden->value("input_ids");
    const model::BlockShared shared = golden->model->shared(ids.size(1));
    for (int64_t i = 0; i < golden->model->n_blocks(); ++i) {
        const auto block = golden->model->load_block(i);
        const auto shapes = model::block_linear_shapes(golden->model->spec(), i);
        const auto linears = block->linears();
        QCOMPARE(linears.size(), shapes.size());
        Recorder recorder;
        std::vector<std::unique_ptr<model::LinearHookScope>> scopes;
        std::vector<std::string> listed;
        for (std::size_t k = 0; k < linears.size(); ++k) {
            QCOMPARE(linears[k].linear->name, shapes[k].name);
            QCOMPARE(linears[k].linear->weight.size(0), shapes[k].rows);
            QCOMPARE(linears[k].linear->weight.size(1), shapes[k].columns);
            QCOMPARE(linears[k].unit, shapes[k].unit);
            listed.push_back(shapes[k].name);
            scopes.push_back(
                std::make_unique<model::LinearHookScope>(*linears[k].linear, recorder));
        }
        const at::Tensor out = block->forward(golden->input_of(i), shared);
        QCOMPARE(recorder.names, listed);
        QVERIFY(relative_error(out, golden->input_of(i + 1)) <= kBlockLimit);
    }
}

BITSMITH_TEST(DecoderParityTest)
#include "decoder_parity_test.moc"
