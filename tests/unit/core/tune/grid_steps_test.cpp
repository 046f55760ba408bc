// SPDX-License-Identifier: GPL-3.0-or-later
// The kernels for scaled floating point numbers against the codec and its automatic derivatives.
#include "quant/codec.h"
#include "support/test_main.h"
#include "tune/grid_steps.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tune;

class GridStepsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void kernelsDoWhatTheCodecDoes_data();
    void kernelsDoWhatTheCodecDoes();
    void theReferencesShiftsGoThroughTheCodec();

private:
    static AffineState state(const Scheme& scheme, bool is_searched);
};

AffineState GridStepsTest::state(const Scheme& scheme, bool is_searched)
{
    at::manual_seed(2);
    at::Tensor w = at::randn({40, 176}) * 0.1;
    w[3].zero_();
    w[4].mul_(1e-6);
    w[5][7] = 30.0;
    quant::TunedValues start;
    if (is_searched) {
        start.range = quant::codec_for(scheme).search(w, scheme, {}, {});
    }
    AffineState state(w, scheme, start);
    state.tuned.v.copy_(at::randn(state.tuned.v.sizes()) * 0.3);
    state.tuned.max_scale.copy_(at::rand(state.tuned.max_scale.sizes()) * 0.7 + 0.3);
    state.gradient = at::randn(w.sizes());
    state.gradient[6].zero_();
    return state;
}

void GridStepsTest::kernelsDoWhatTheCodecDoes_data()
{
    QTest::addColumn<QString>("scheme");
    QTest::addColumn<bool>("searched");
    for (const char* name : {"MXFP4", "MXFP8", "MXFP6", "MXINT4", "NVFP4", "NVFP4_E5M3"}) {
        QTest::addRow("%s", name) << name << false;
        QTest::addRow("%s, searched", name) << name << true;
    }
    QTest::newRow("FP8 per row") << "FP8_DYNAMIC" << false;
    QTest::newRow("FP8 in groups") << "bits=8,group_size=48,data_type=fp8" << false;
}

void GridStepsTest::kernelsDoWhatTheCodecDoes()
{
    QFETCH(QString, scheme);
    QFETCH(bool, searched);
    const Scheme format = parse_scheme(scheme.toStdString());
    AffineState by_kernel = state(format, searched), by_codec = state(format, searched);
    QVERIFY(runs_on_grid_kernels(by_kernel));
    const StepSizes sizes{0.05, 0.02, false};
    for (int i = 0; i < 3; ++i) {
        quantize_(by_kernel);
        quantize_by_codec_(by_codec);
        QVERIFY(at::equal(
            by_kernel.values.view(at::kInt), by_codec.values.contiguous().view(at::kInt)));
        step_(by_kernel, sizes);
        step_by_codec_(by_codec, sizes);
        QVERIFY(at::equal(by_kernel.tuned.v, by_codec.tuned.v));
        // Sums in another order may differ in sign where they cancel.
        const at::Tensor other = by_kernel.tuned.max_scale != by_codec.tuned.max_scale;
        QVERIFY(other.to(at::kFloat).mean().item<double>() < 0.01);
        by_codec.tuned.max_scale.copy_(by_kernel.tuned.max_scale);
    }
}

void GridStepsTest::theReferencesShiftsGoThroughTheCodec()
{
    AffineState referred = state(parse_scheme("MXFP4"), false);
    referred.tuned.v_in_scales = true;
    QVERIFY(!runs_on_grid_kernels(referred));
    const at::Tensor before = referred.tuned.v.clone();
    quantize_(referred);
    step_(referred, {0.05, 0.02, false});
    QVERIFY(!at::equal(before, referred.tuned.v));
}

BITSMITH_TEST(GridStepsTest)
#include "grid_steps_test.moc"
