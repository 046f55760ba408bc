// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/compensated.h"
#include "quant/range_search.h"
#include "support/expect_error.h"
#include "support/scheme_of.h"
#include "support/test_main.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <cmath>

using namespace bitsmith;
using namespace bitsmith::quant;

namespace {

struct Sample
{
    explicit Sample(int64_t columns = 96)
    {
        at::manual_seed(9);
        weight = at::randn({48, columns}) * 0.05;
        // Correlated channels: on independent ones there is nothing to pass an error on to.
        inputs =
            at::randn({600, 12}).matmul(at::randn({12, columns})) + at::randn({600, columns}) * 0.3;
        moments.hessian = at::mm(inputs.t(), inputs);
    }
    double output_error(const QuantizedWeight& codes) const
    {
        const at::Tensor decoded = codec_for(codes.scheme).decode(codes);
        return at::mm(inputs, (decoded - weight).t()).square().mean().item<double>();
    }
    at::Tensor weight, inputs;
    InputMoments moments;
};

/// The textbook loop: the inverse Hessian itself, one column removed after the other.
at::Tensor plain_codes(const at::Tensor& weight, const Scheme& scheme, const at::Tensor& hessian)
{
    const double half = std::ldexp(1.0, static_cast<int>(scheme.bits) - 1);
    const at::Tensor scales = codec_for(scheme).encode(weight, scheme, {}).scales.to(at::kDouble);
    const at::Tensor order = hessian.diagonal().argsort(0, true);
    at::Tensor h = hessian.to(at::kDouble).index_select(0, order).index_select(1, order);
    h.diagonal().add_(0.01 * h.diagonal().mean());
    at::Tensor inverse = at::linalg_inv(h);
    at::Tensor rest = weight.to(at::kDouble).index_select(1, order).clone();
    at::Tensor codes = at::empty_like(weight, at::kByte);
    for (int64_t j = 0; j < weight.size(1); ++j) {
        const int64_t column = order[j].item<int64_t>();
        const at::Tensor scale = scales.select(1, column / scheme.group_size);
        const at::Tensor code = at::round(rest.select(1, j) / scale).clamp(-half, half - 1);
        codes.select(1, column).copy_(code + half);
        const at::Tensor error = (rest.select(1, j) - code * scale) / inverse[j][j];
        rest -= at::outer(error, inverse[j]);
        inverse = inverse - at::outer(inverse.select(1, j), inverse[j]) / inverse[j][j];
        inverse.select(0, j).zero_();
        inverse.select(1, j).zero_();
        inverse[j][j] = 1;
    }
    return codes;
}

/// Values by the codec's account of its codes.
at::Tensor values_by_grid(const QuantizedWeight& weight)
{
    const CodeGrid grid = codec_for(weight.scheme).code_grid(weight);
    const int64_t width = group_width(weight.scheme, weight.columns());
    const auto spread = [&](const at::Tensor& groups) {
        return groups.repeat_interleave(width, 1).narrow(1, 0, weight.columns());
    };
    at::Tensor steps = grid.elements != nullptr ? grid.elements->values(weight.codes)
                                                : weight.codes.to(at::kFloat);
    if (grid.zero.defined()) {
        steps = steps - spread(grid.zero);
    }
    const at::Tensor values = steps * spread(grid.scale);
    return grid.minimum.defined() ? values + spread(grid.minimum) : values;
}

} // namespace

class CompensatedTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void beatsPlainRounding_data();
    void beatsPlainRounding();
    void takesEveryKindOfNumber_data();
    void takesEveryKindOfNumber();
    void givesTheCodesOfTheTextbook();
    void correctsForChangedInputs();
    void makesUpForTheResidualStream();
    void takesASingularHessian();
    void refusesMomentsThatAreNotFinite();
};

void CompensatedTest::beatsPlainRounding_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("group");
    QTest::addColumn<int>("kind");
    for (const int bits : {2, 3, 4}) {
        for (const int group : {32, 40, -1}) {
            for (const int kind : {0, 1, 2}) {
                QTest::addRow("W%d group %d kind %d", bits, group, kind) << bits << group << kind;
            }
        }
    }
}

void CompensatedTest::beatsPlainRounding()
{
    QFETCH(int, bits);
    QFETCH(int, group);
    QFETCH(int, kind);
    const Sample sample;
    const Scheme scheme =
        scheme_of(bits, group, kind == 0, kind == 2 ? DataType::IntFloatZero : DataType::Int);
    const GroupRange range = search_range(sample.weight, scheme, sample.moments.hessian.diagonal());
    TunedValues tuned;
    tuned.range = range;
    const double rounded =
        sample.output_error(codec_for(scheme).encode(sample.weight, scheme, tuned));
    const double compensated =
        sample.output_error(compensated_encode(sample.weight, scheme, tuned, sample.moments));
    QVERIFY2(
        compensated < 0.6 * rounded, qPrintable(QString("%1 of %2").arg(compensated).arg(rounded)));
}

void CompensatedTest::takesEveryKindOfNumber_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name :
        {"MXFP4", "MXFP8", "MXINT4", "NVFP4", "NVFP4_E5M3", "FPW8A16", "FP8_DYNAMIC", "FP8_BLOCK",
            "gguf:q2_k", "gguf:q3_k", "gguf:q4_k", "gguf:q5_k", "gguf:q6_k"}) {
        QTest::addRow("%s", name) << name;
    }
}

void CompensatedTest::takesEveryKindOfNumber()
{
    QFETCH(QString, name);
    // Not whole tiles and groups, except for super-blocks, which have to be whole.
    const Sample wide(name.startsWith("gguf") ? 512 : 200);
    const Scheme scheme = parse_scheme(name.toStdString());
    const Codec& codec = codec_for(scheme);
    const QuantizedWeight plain = codec.encode(wide.weight, scheme, {});
    const QuantizedWeight found = compensated_encode(wide.weight, scheme, {}, wide.moments);
    for (const WeightPart& part : kWeightParts) {
        const at::Tensor &expected = plain.*part.tensor, &actual = found.*part.tensor;
        QCOMPARE(actual.defined(), expected.defined());
        if (expected.defined() && part.tensor != &QuantizedWeight::codes) {
            QVERIFY2(at::equal(actual, expected), part.name);
        }
    }
    QVERIFY(at::equal(values_by_grid(found), codec.decode(found)));
    const double rounded = wide.output_error(plain), compensated = wide.output_error(found);
    QVERIFY2(
        compensated < 0.6 * rounded, qPrintable(QString("%1 of %2").arg(compensated).arg(rounded)));
}

void CompensatedTest::givesTheCodesOfTheTextbook()
{
    const Sample sample;
    const Scheme scheme = scheme_of(3, 32, true);
    const at::Tensor expected = plain_codes(sample.weight, scheme, sample.moments.hessian);
    const at::Tensor found = compensated_encode(sample.weight, scheme, {}, sample.moments).codes;
    const double equal = found.eq(expected).to(at::kDouble).mean().item<double>();
    QVERIFY2(equal > 0.99, qPrintable(QString::number(equal)));
}

void CompensatedTest::correctsForChangedInputs()
{
    Sample sample;
    const at::Tensor seen =
        sample.inputs + at::randn(sample.inputs.sizes()) * 0.2 + sample.inputs.roll(1, 1) * 0.3;
    sample.moments.hessian = at::mm(seen.t(), seen);
    sample.moments.drift = at::mm((sample.inputs - seen).t(), seen);
    const at::Tensor wanted = at::mm(sample.inputs, sample.weight.t());
    const auto error_of = [&](double correction) {
        const at::Tensor weight = corrected_weight(sample.weight, sample.moments, correction);
        return (at::mm(seen, weight.t()) - wanted).square().mean().item<double>();
    };
    QVERIFY(at::equal(corrected_weight(sample.weight, sample.moments, 0), sample.weight));
    QVERIFY(error_of(0.5) < 0.5 * error_of(0));
    QVERIFY(error_of(1) < error_of(0.5));
}

void CompensatedTest::makesUpForTheResidualStream()
{
    Sample sample;
    // What is lacking is partly a function of the inputs, partly not.
    const at::Tensor lacking =
        at::mm(sample.inputs, at::randn({96, 48}) * 0.01) + at::randn({600, 48}) * 0.05;
    sample.moments.lacking = at::mm(lacking.t(), sample.inputs);
    const auto error_of = [&](double correction) {
        const at::Tensor weight = corrected_weight(sample.weight, sample.moments, correction);
        return (at::mm(sample.inputs, (weight - sample.weight).t()) - lacking)
            .square()
            .mean()
            .item<double>();
    };
    QVERIFY(error_of(0.5) < 0.8 * error_of(0));
    QVERIFY(error_of(1) < error_of(0.5));
}

void CompensatedTest::takesASingularHessian()
{
    Sample sample;
    const at::Tensor few = sample.inputs.narrow(0, 0, 3);
    sample.moments.hessian = at::mm(few.t(), few);
    sample.moments.hessian.select(0, 7).zero_();
    sample.moments.hessian.select(1, 7).zero_();
    const Scheme scheme = scheme_of(4, 32, true);
    const at::Tensor decoded =
        codec_for(scheme).decode(compensated_encode(sample.weight, scheme, {}, sample.moments));
    QVERIFY(decoded.isfinite().all().item<bool>());
}

void CompensatedTest::refusesMomentsThatAreNotFinite()
{
    Sample sample;
    sample.moments.hessian[3][3] = std::nan("");
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"not finite"}),
        compensated_encode(sample.weight, scheme_of(4, 32, true), {}, sample.moments));
}

BITSMITH_TEST(CompensatedTest)
#include "compensated_test.moc"
