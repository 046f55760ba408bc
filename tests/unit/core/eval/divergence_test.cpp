// SPDX-License-Identifier: GPL-3.0-or-later
// The figures of `eval` against the definitions, written down again on whole logits.
#include "model/causal_lm.h"
#include "source/model_source.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <algorithm>
#include <cmath>

using namespace bitsmith;

namespace {

struct Quiet : Observer
{
    void on_event(const Event&) override { }
};

/// log p of every predicting position [n, vocab] in double precision.
at::Tensor log_probabilities(const std::string& path, const at::Tensor& ids)
{
    const at::NoGradGuard no_grad;
    const auto source = source::open_model(path);
    const model::CausalLm model(
        source->spec, source->tensors, at::TensorOptions().dtype(at::kFloat));
    at::Tensor hidden = model.embed(ids);
    const model::BlockShared shared = model.shared(ids.size(1));
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        hidden = model.load_block(i)->forward(hidden, shared);
    }
    const at::Tensor logits = model.logits(hidden).narrow(1, 0, ids.size(1) - 1);
    return logits.to(at::kDouble).flatten(0, 1).log_softmax(-1);
}

bool is_near(double found, double expected)
{
    return std::abs(found - expected) <= 1e-4 * std::abs(expected) + 1e-7;
}

struct Fixture
{
    Fixture()
    {
        at::manual_seed(8);
        ids = at::randint(0, 250, {5, 40}, at::kLong);
        tensor::publish_safetensors(disk(), texts / "ids.safetensors", {{"input_ids", ids}}, {});
        options.text = (texts / "ids.safetensors").string();
        options.threads = 1;
        changed.edit_tensors([](TinyCheckpoint::Tensors& tensors) {
            at::Tensor& weight =
                TinyCheckpoint::find(tensors, "model.layers.1.mlp.down_proj.weight");
            weight = weight + at::randn(weight.sizes()).to(weight.scalar_type()) * 0.1;
        });
    }
    EvalReport evaluate() { return bitsmith::evaluate(options, observer, {}); }

    TinyCheckpoint original, changed;
    TempFolder texts;
    at::Tensor ids;
    Quiet observer;
    EvalOptions options;
};

} // namespace

class DivergenceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void givesTheFiguresOfTheDefinitions();
    void findsNoDistanceFromItself();
    void measuresPerplexityAlone();
    void refusesOtherVocabularies();
    void refusesWhatIsNotWindows();
};

void DivergenceTest::givesTheFiguresOfTheDefinitions()
{
    Fixture f;
    f.options.model = f.changed.path();
    f.options.reference = f.original.path();
    const EvalReport report = f.evaluate();
    const at::Tensor log_p = log_probabilities(f.original.path(), f.ids);
    const at::Tensor log_q = log_probabilities(f.changed.path(), f.ids);
    const at::Tensor targets = f.ids.narrow(1, 1, f.ids.size(1) - 1).flatten().unsqueeze(1);
    const at::Tensor kld = (log_p.exp() * (log_p - log_q)).sum(-1);
    std::vector<double> sorted(kld.data_ptr<double>(), kld.data_ptr<double>() + kld.numel());
    std::sort(sorted.begin(), sorted.end());

    QCOMPARE(report.tokens, int64_t{5 * 39});
    QVERIFY(is_near(*report.ppl, std::exp(-log_q.gather(1, targets).mean().item<double>())));
    QVERIFY(
        is_near(*report.ppl_reference, std::exp(-log_p.gather(1, targets).mean().item<double>())));
    QVERIFY2(is_near(*report.kld_mean, kld.mean().item<double>()),
        qPrintable(QString("%1 %2").arg(*report.kld_mean).arg(kld.mean().item<double>())));
    QVERIFY(*report.kld_mean > 1e-3);
    QVERIFY(is_near(*report.kld_max, sorted.back()));
    QVERIFY(is_near(*report.kld_p99, sorted[193])); // the 194th of 195: ceil(0.99 · 195)
    QVERIFY(is_near(*report.top1_agreement,
        log_p.argmax(-1).eq(log_q.argmax(-1)).to(at::kDouble).mean().item<double>()));
}

void DivergenceTest::findsNoDistanceFromItself()
{
    Fixture f;
    f.options.model = f.options.reference = f.original.path();
    const EvalReport report = f.evaluate();
    QCOMPARE(*report.kld_max, 0.0);
    QCOMPARE(*report.top1_agreement, 1.0);
    QCOMPARE(*report.ppl, *report.ppl_reference);
}

void DivergenceTest::measuresPerplexityAlone()
{
    Fixture f;
    f.options.model = f.original.path();
    const EvalReport report = f.evaluate();
    QVERIFY(report.ppl.has_value());
    QVERIFY(!report.kld_mean.has_value());
}

void DivergenceTest::refusesOtherVocabularies()
{
    Fixture f;
    f.options.model = f.changed.path();
    f.options.reference = f.original.path();
    f.changed.edit_config([](Json& config) { config["vocab_size"] = 300; });
    f.changed.edit_tensors([](TinyCheckpoint::Tensors& tensors) {
        for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
            at::Tensor& weight = TinyCheckpoint::find(tensors, name);
            weight = weight.narrow(0, 0, 300).contiguous();
        }
    });
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"320", "300"}), f.evaluate());
}

void DivergenceTest::refusesWhatIsNotWindows()
{
    Fixture f;
    f.options.model = f.original.path();
    tensor::publish_safetensors(
        disk(), f.texts / "ids.safetensors", {{"input_ids", f.ids.flatten()}}, {});
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"input_ids", "windows"}), f.evaluate());
}

BITSMITH_TEST(DivergenceTest)
#include "divergence_test.moc"
