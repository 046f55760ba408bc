// SPDX-License-Identifier: GPL-3.0-or-later
// Importance matrices of whole models: measured, and used in a job.
#include "calib/imatrix.h"
#include "model/causal_lm.h"
#include "quant/codec.h"
#include "run/run_folder.h"
#include "run/run_record.h"
#include "source/tiny_tokenizer.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <deque>

using namespace bitsmith;

namespace {

using Sums = std::map<std::string, at::Tensor>;

/// Keeps the inputs of its layer.
struct InputHook : model::LinearHook
{
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override
    {
        inputs = x;
        return linear.product(x, linear.weight);
    }
    at::Tensor inputs;
};

/// Σ x² of the first `counted` tokens of each window, all windows at once.
Sums direct_sums(const std::string& path, const at::Tensor& ids, int64_t counted)
{
    const at::NoGradGuard no_grad;
    const auto source = source::open_model(path);
    const model::CausalLm model(source->spec, source->tensors, at::kFloat);
    const model::BlockShared shared = model.shared(ids.size(1));
    at::Tensor hidden = model.embed(ids);
    Sums sums;
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        const auto block = model.load_block(i);
        const auto linears = block->linears();
        std::deque<InputHook> kept(linears.size());
        std::deque<model::LinearHookScope> hooks;
        for (std::size_t k = 0; k < linears.size(); ++k) {
            hooks.emplace_back(*linears[k].linear, kept[k]);
        }
        hidden = block->forward(hidden, shared);
        for (std::size_t k = 0; k < linears.size(); ++k) {
            const at::Tensor inputs = kept[k].inputs.narrow(1, 0, counted).to(at::kDouble);
            sums[linears[k].linear->name] = inputs.square().sum({0, 1});
        }
    }
    return sums;
}

/// Whether `file` says what `sums` over `tokens` tokens do.
bool holds(
    const std::filesystem::path& file, const TinyCheckpoint& tiny, const Sums& sums, int64_t tokens)
{
    const calib::Imatrix imatrix = calib::read_imatrix(file);
    for (const auto& [name, squares] : imatrix.weights) {
        if (squares.counts.item<float>() != static_cast<float>(tokens)) {
            return false;
        }
    }
    const Sums means = calib::layer_importance(imatrix, *source::open_model(tiny.path()));
    return means.size() == sums.size()
        && std::all_of(sums.begin(), sums.end(), [&](const auto& layer) {
               const at::Tensor expected = layer.second / static_cast<double>(tokens);
               return at::allclose(means.at(layer.first).to(at::kDouble), expected, 1e-4, 1e-7);
           });
}

/// A few columns of every layer, the head included, matter far more than the others.
Sums write_uneven(const TinyCheckpoint& tiny, const std::filesystem::path& file, int64_t left_out)
{
    at::manual_seed(3);
    const auto source = source::open_model(tiny.path());
    std::map<std::string, calib::InputSquares> layers;
    for (const LayerInfo& layer : source->info.layers) {
        if (--left_out < 0) {
            layers[layer.name] = {at::rand({layer.columns}).pow(12), at::ones({1})};
        }
    }
    const calib::Imatrix imatrix = calib::imatrix_of(layers, *source);
    calib::write_imatrix(disk(), file, imatrix);
    return calib::layer_importance(imatrix, *source);
}

JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp, const std::string& recipe)
{
    JobSpec spec;
    spec.model.path = tiny.path();
    spec.scheme.scheme = "W2A16G32";
    spec.scheme.quant_lm_head = true;
    spec.recipe = named_recipe(recipe);
    spec.recipe.start = Start::Search;
    spec.recipe.touch_up = TouchUpMode::Off;
    spec.recipe.smoothing = Smoothing::Off;
    if (spec.recipe.uses_calibration()) {
        at::manual_seed(4);
        const std::string ids = (temp / "ids.safetensors").string();
        tensor::publish_safetensors(
            disk(), ids, {{"input_ids", at::randint(0, 256, {8, 32}, at::kLong)}});
        spec.calibration.dataset = ids;
        spec.recipe.nsamples = 8;
        spec.recipe.seqlen = 32;
    }
    spec.calibration.imatrix = (temp / "imatrix.gguf").string();
    spec.exports.formats = {};
    spec.runtime.run_dir = (temp / "run").string();
    return spec;
}

/// Codes of a layer for ranges searched under `importance`.
at::Tensor searched_codes(
    const TinyCheckpoint& tiny, const std::string& layer, const at::Tensor& importance)
{
    const Scheme scheme = parse_scheme("W2A16G32");
    const at::Tensor weight =
        source::open_model(tiny.path())->tensors->load(layer + ".weight").to(at::kFloat);
    quant::TunedValues start;
    start.range = quant::codec_for(scheme).search(weight, scheme, importance, {});
    return quant::codec_for(scheme).encode(weight, scheme, start).codes;
}

} // namespace

class ImatrixRunTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void sumsTheSquaredInputsOfEveryLayer();
    void leavesPaddingOut();
    void refusesWhatItCannotWrite();
    void weighsTheSearchOfRanges_data();
    void weighsTheSearchOfRanges();
    void namesLayersThatItDoesNotKnow();
    void refusesAMatrixOfAnotherModelBeforeTheRun();
    void staysTheSameWhenARunGoesOn();
};

void ImatrixRunTest::sumsTheSquaredInputsOfEveryLayer()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    at::manual_seed(5);
    const at::Tensor ids = at::randint(0, 256, {5, 24}, at::kLong);
    const std::string text = (temp / "ids.safetensors").string();
    tensor::publish_safetensors(disk(), text, {{"input_ids", ids}});
    ImatrixOptions options;
    options.model = tiny.path();
    options.dataset = text;
    options.output = temp / "imatrix.gguf";
    options.nsamples = 5;
    options.seqlen = 24;
    options.batch_size = 2; // the last batch is smaller
    RecordingObserver observer;
    const ImatrixReport report = write_importance(options, observer, {});
    QVERIFY(holds(options.output, tiny, direct_sums(tiny.path(), ids, 24), 5 * 24));
    QCOMPARE(report.layers, int64_t{14});
    QCOMPARE(report.unreached, int64_t{0});
    QCOMPARE(report.windows, int64_t{5});
    QCOMPARE(report.tokens, int64_t{5 * 24});
    QCOMPARE(report.bytes, static_cast<int64_t>(std::filesystem::file_size(options.output)));

    const calib::Imatrix imatrix = calib::read_imatrix(options.output);
    QVERIFY(imatrix.weights.contains("blk.1.ffn_down.weight"));
    QCOMPARE(imatrix.datasets, std::vector<std::string>{text});
    QCOMPARE(imatrix.chunks, int64_t{5});
    QCOMPARE(imatrix.chunk_tokens, int64_t{24});
    const auto blocks =
        std::count_if(observer.events.begin(), observer.events.end(), [](const Event& event) {
            const auto* progress = event.get_if<StageProgress>();
            return progress != nullptr && progress->unit == "blocks" && progress->total == 2;
        });
    QCOMPARE(blocks, 2);
}

void ImatrixRunTest::leavesPaddingOut()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    ImatrixOptions options;
    options.model = tiny.path();
    options.dataset = temp.write("text.txt", "abcd<|pad|><|pad|><|pad|>").string();
    options.output = temp / "imatrix.gguf";
    options.nsamples = 1;
    options.seqlen = 8;
    NullObserver silent;
    const ImatrixReport report = write_importance(options, silent, {});
    QCOMPARE(report.tokens, int64_t{5});
    const auto source = source::open_model(tiny.path());
    std::vector<int64_t> window{source::kTinyBos};
    for (const int32_t id : source->load_text().tokenizer.encode("abcd", false)) {
        window.push_back(id);
    }
    window.resize(8, source::kTinyPad);
    const at::Tensor ids = at::tensor(window, at::kLong).unsqueeze(0);
    QVERIFY(holds(options.output, tiny, direct_sums(tiny.path(), ids, 5), 5));
}

void ImatrixRunTest::refusesWhatItCannotWrite()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    NullObserver silent;
    ImatrixOptions options;
    options.model = tiny.path();
    options.output = temp.write("imatrix.gguf", "mine");
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"output", "imatrix.gguf"}),
        write_importance(options, silent, {}));
    QCOMPARE(read_text_file(options.output, 100), std::string("mine"));
    options.output = temp / "nowhere" / "imatrix.gguf";
    EXPECT_ERROR(
        FileNotFound, EXPECT_WORDS({"folder", "nowhere"}), write_importance(options, silent, {}));
}

void ImatrixRunTest::weighsTheSearchOfRanges_data()
{
    QTest::addColumn<QString>("recipe");
    QTest::newRow("without text") << "rtn";
    QTest::newRow("in place of the text") << "opt_rtn";
}

void ImatrixRunTest::weighsTheSearchOfRanges()
{
    QFETCH(QString, recipe);
    const TinyCheckpoint tiny;
    const TempFolder temp;
    const JobSpec spec = job(tiny, temp, recipe.toStdString());
    const Sums importance = write_uneven(tiny, spec.calibration.imatrix, 0);
    RecordingObserver observer;
    const Outcome outcome = run(spec, false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const auto folder = RunFolder::open(temp / "run");
    int64_t layers = 0;
    for (const PlannedLayer& layer : folder->plan().layers) {
        if (layer.scheme.is_quantized()) {
            ++layers;
            const at::Tensor codes = folder->load(layer.name).codes;
            const at::Tensor& known = importance.at(layer.name);
            QVERIFY2(at::equal(codes, searched_codes(tiny, layer.name, known)), layer.name.c_str());
            QVERIFY(!at::equal(codes, searched_codes(tiny, layer.name, {})));
        }
    }
    QCOMPARE(layers, int64_t{15}); // the head too
}

void ImatrixRunTest::namesLayersThatItDoesNotKnow()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    const JobSpec spec = job(tiny, temp, "rtn");
    write_uneven(tiny, spec.calibration.imatrix, 2);
    RecordingObserver observer;
    const Outcome outcome = run(spec, false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const std::string first = source::open_model(tiny.path())->info.layers.front().name;
    std::vector<std::string> warnings;
    for (const Event& event : observer.events) {
        const auto* warning = event.get_if<Warning>();
        if (warning != nullptr && warning->id == "imatrix") {
            warnings.push_back(warning->text);
        }
    }
    QCOMPARE(warnings.size(), std::size_t(1));
    QVERIFY2(warnings[0].find("not know 2 of") != std::string::npos, warnings[0].c_str());
    QVERIFY2(warnings[0].find(first) != std::string::npos, warnings[0].c_str());
    const at::Tensor codes = RunFolder::open(temp / "run")->load(first).codes;
    QVERIFY(at::equal(codes, searched_codes(tiny, first, {})));
}

void ImatrixRunTest::refusesAMatrixOfAnotherModelBeforeTheRun()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    const JobSpec spec = job(tiny, temp, "rtn");
    calib::Imatrix imatrix;
    imatrix.weights["blk.7.attn_q.weight"] = {at::ones({64}), at::ones({1})};
    calib::write_imatrix(disk(), spec.calibration.imatrix, imatrix);
    NullObserver silent;
    const Outcome outcome = run(spec, false, silent, {});
    QCOMPARE(outcome.state, JobState::Failed);
    QCOMPARE(outcome.error_code, ErrorCode::InvalidSpec);
    QVERIFY(!std::filesystem::exists(temp / "run"));
}

void ImatrixRunTest::staysTheSameWhenARunGoesOn()
{
    JobSpec wish;
    wish.calibration.imatrix = "other.gguf";
    const auto differences = blocking_differences(JobSpec{}, wish);
    QCOMPARE(differences.size(), std::size_t(1));
    QCOMPARE(differences[0].field, std::string("calibration.imatrix"));
    QCOMPARE(differences[0].wish, std::string("other.gguf"));
}

BITSMITH_TEST(ImatrixRunTest)
#include "write_importance_test.moc"
