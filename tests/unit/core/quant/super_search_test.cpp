// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/codec.h"
#include "quant/super_search.h"
#include "support/test_main.h"
#include "values/scheme_presets.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <cmath>

using namespace bitsmith;
using namespace bitsmith::quant;

namespace {

/// Rows whose groups differ in size, as those of models do.
at::Tensor uneven(int64_t rows, int64_t columns)
{
    at::Generator generator = at::detail::createCPUGenerator(5);
    const at::Tensor sizes = at::rand({rows, columns / 16, 1}, generator) + 0.2;
    const at::Tensor values = at::randn({rows, columns / 16, 16}, generator);
    return (values * sizes * 0.05).reshape({rows, columns});
}

at::Tensor stored(const at::Tensor& weight, const Scheme& scheme, const GroupRange& range)
{
    TunedValues tuned;
    tuned.range = range;
    const Codec& codec = codec_for(scheme);
    return codec.decode(codec.encode(weight, scheme, tuned));
}

/// Σ h (Ŵ - W)² of what is stored.
double error_of(const at::Tensor& weight, const Scheme& scheme, const GroupRange& range,
    const at::Tensor& importance)
{
    const at::Tensor difference = stored(weight, scheme, range) - weight;
    return (difference.square() * importance).sum(at::kDouble).item<double>();
}

} // namespace

class SuperSearchTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void gainsOverNumbersRoundedOneByOne_data();
    void gainsOverNumbersRoundedOneByOne();
    void givesNumbersThatTheCodecKeeps_data() { gainsOverNumbersRoundedOneByOne_data(); }
    void givesNumbersThatTheCodecKeeps();
    void triesTheIntegersNextToEachNumber();
    void followsTheImportance();
    void searchesEachRowForItself();
    void leavesWhatVanishes();
};

void SuperSearchTest::gainsOverNumbersRoundedOneByOne_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::addColumn<double>("most"); // of the error without
    const auto add = [](const char* name, double most) {
        QTest::newRow(name) << find_gguf_preset(name)->scheme << most;
    };
    add("q2_k", 0.97);
    add("q3_k", 0.9995);
    add("q4_k", 0.975);
    add("q5_k", 0.92);
    add("q6_k", 0.99);
}

void SuperSearchTest::gainsOverNumbersRoundedOneByOne()
{
    QFETCH(Scheme, scheme);
    QFETCH(double, most);
    const at::Tensor weight = uneven(40, 512);
    const at::Tensor importance = at::linspace(0.2, 3, 512).square();
    const GroupRange own = search_separate(weight, scheme, importance);
    const GroupRange searched = search_supers(own, weight, scheme, importance);
    const double ratio =
        error_of(weight, scheme, searched, importance) / error_of(weight, scheme, own, importance);
    QVERIFY2(ratio < most, qPrintable(QString::number(ratio)));
}

void SuperSearchTest::givesNumbersThatTheCodecKeeps()
{
    QFETCH(Scheme, scheme);
    const at::Tensor weight = uneven(40, 512), importance = at::ones({512});
    const GroupRange range =
        search_supers(search_separate(weight, scheme, importance), weight, scheme, importance);
    TunedValues tuned;
    tuned.range = range;
    const QuantizedWeight codes = codec_for(scheme).encode(weight, scheme, tuned);
    const auto of_groups = [&scheme](const at::Tensor& integers, const at::Tensor& super) {
        return integers.to(at::kFloat)
            * super.to(at::kFloat).repeat_interleave(scheme.super_group_size, 1);
    };
    const double levels = std::ldexp(1.0, static_cast<int>(scheme.bits)) - 1;
    const at::Tensor scale = of_groups(codes.scales, codes.super_scales);
    if (scheme.sym) {
        QVERIFY(at::equal((range.max + range.min) * -2 / (levels + 1), scale));
    } else {
        const at::Tensor minimum = of_groups(codes.zeros, codes.super_zeros);
        QVERIFY(at::equal(range.min, 0.0 - minimum));
        QVERIFY(at::allclose((range.max - range.min) / levels, scale, 1e-5, 1e-9));
    }
}

/// The choice of integers written down again in double precision, under the super-scales found.
void SuperSearchTest::triesTheIntegersNextToEachNumber()
{
    const Scheme scheme = find_gguf_preset("q4_k")->scheme;
    const at::Tensor weight = uneven(6, 256), importance = at::linspace(0.5, 2, 256);
    const GroupRange own = search_separate(weight, scheme, importance);
    TunedValues tuned;
    tuned.range = search_supers(own, weight, scheme, importance);
    const QuantizedWeight codes = codec_for(scheme).encode(weight, scheme, tuned);
    int checked = 0;
    for (int64_t row = 0; row < weight.size(0); ++row) {
        const double d = codes.super_scales[row][0].item<double>();
        const double dmin = codes.super_zeros[row][0].item<double>();
        for (int64_t group = 0; group < 8; ++group) {
            const at::Tensor w = weight[row].narrow(0, group * 32, 32).to(at::kDouble);
            const at::Tensor h = importance.narrow(0, group * 32, 32).to(at::kDouble);
            const auto error = [&](double l, double m) {
                const at::Tensor q = at::round((w + dmin * m) / (d * l)).clamp(0, 15);
                return (h * (d * l * q - dmin * m - w).square()).sum().item<double>();
            };
            const int64_t l = codes.scales[row][group].item<int64_t>();
            const int64_t m = codes.zeros[row][group].item<int64_t>();
            if (l == 63 || m == 63) {
                continue; // may be held there
            }
            const double mu = -own.min[row][group].item<double>();
            const double s = (own.max[row][group].item<double>() + mu) / 15;
            double best = INFINITY;
            for (const int more_l : {-1, 0, 1}) {
                for (const int more_m : {-1, 0, 1}) {
                    best = std::min(best,
                        error(std::clamp(std::nearbyint(s / d) + more_l, 1.0, 62.0),
                            std::clamp(std::nearbyint(mu / dmin) + more_m, 0.0, 62.0)));
                }
            }
            QVERIFY(error(static_cast<double>(l), static_cast<double>(m)) <= best * 1.0001);
            ++checked;
        }
    }
    QVERIFY(checked > 20);
}

void SuperSearchTest::followsTheImportance()
{
    const Scheme scheme = find_gguf_preset("q2_k")->scheme;
    const at::Tensor weight = uneven(32, 256);
    at::Tensor importance = at::ones({256});
    importance.narrow(0, 0, 24).fill_(100);
    const GroupRange own = search_separate(weight, scheme, importance);
    const double with =
        error_of(weight, scheme, search_supers(own, weight, scheme, importance), importance);
    const double without =
        error_of(weight, scheme, search_supers(own, weight, scheme, {}), importance);
    QVERIFY2(with < 0.95 * without, qPrintable(QString("%1, %2").arg(with).arg(without)));
}

/// Rows are searched side by side; which ones are neighbours must not change a bit.
void SuperSearchTest::searchesEachRowForItself()
{
    const at::Tensor weight = uneven(19, 256), importance = at::linspace(0.2, 3, 256).square();
    for (const char* name : {"q2_k", "q6_k"}) {
        const Scheme scheme = find_gguf_preset(name)->scheme;
        const GroupRange own = search_separate(weight, scheme, importance);
        const GroupRange all = search_supers(own, weight, scheme, importance);
        for (int64_t row = 0; row < weight.size(0); ++row) {
            const GroupRange alone =
                search_supers({own.min.narrow(0, row, 1), own.max.narrow(0, row, 1)},
                    weight.narrow(0, row, 1), scheme, importance);
            QVERIFY(alone.min.equal(all.min.narrow(0, row, 1)));
            QVERIFY(alone.max.equal(all.max.narrow(0, row, 1)));
        }
    }
}

/// The codec has rules of its own for super-scales that vanish.
void SuperSearchTest::leavesWhatVanishes()
{
    for (const char* name : {"q2_k", "q3_k"}) {
        const Scheme scheme = find_gguf_preset(name)->scheme;
        at::Tensor weight = uneven(2, 256);
        weight[0].zero_();
        weight[1] *= 1e-12;
        const GroupRange own = search_separate(weight, scheme, {});
        const GroupRange searched = search_supers(own, weight, scheme, {});
        QVERIFY(searched.min.equal(own.min));
        QVERIFY(searched.max.equal(own.max));
    }
}

BITSMITH_TEST(SuperSearchTest)
#include "super_search_test.moc"
