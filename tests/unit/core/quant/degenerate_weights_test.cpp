// SPDX-License-Identifier: GPL-3.0-or-later
// Weights without variety are valid input of every scheme (ahead.md 5, row 23): zeros stay zeros,
// a constant stays near itself, and nothing is divided by 0.
#include "quant/codec.h"
#include "support/test_main.h"
#include "values/scheme_presets.h"

#include <bitsmith/catalog.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::quant;

class DegenerateWeightsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void holdsZerosAndConstants_data();
    void holdsZerosAndConstants();
};

void DegenerateWeightsTest::holdsZerosAndConstants_data()
{
    QTest::addColumn<std::string>("name");
    QTest::addColumn<bool>("is_searched");
    for (const SchemeInfo& info : scheme_catalog()) {
        const bool is_mix = is_gguf_mix(info.scheme) || !info.scheme.mix.empty();
        for (const bool is_searched : {false, true}) {
            if (info.scheme.is_quantized() && !is_mix) {
                QTest::addRow("%s%s", info.name.c_str(), is_searched ? " searched" : "")
                    << info.name << is_searched;
            }
        }
    }
}

void DegenerateWeightsTest::holdsZerosAndConstants()
{
    QFETCH(std::string, name);
    QFETCH(bool, is_searched);
    const Scheme scheme = parse_scheme(name);
    const Codec& codec = codec_for(scheme);
    const auto rounded = [&](const at::Tensor& weight) {
        TunedValues start;
        if (is_searched) {
            start.range = codec.search(weight, scheme, {}, {});
        }
        return codec.encode(weight, scheme, start);
    };
    const at::Tensor zeros = at::zeros({32, 512});
    const QuantizedWeight of_zeros = rounded(zeros);
    QVERIFY(codec.decode(of_zeros).eq(0).all().item<bool>());
    if (scheme.data_type == DataType::Int) { // readers divide by these
        QVERIFY(of_zeros.scales.ne(0).all().item<bool>());
    }
    for (const double value : {0.37, -0.37}) {
        const at::Tensor constant = at::full({32, 512}, value);
        const at::Tensor decoded = codec.decode(rounded(constant));
        QVERIFY((decoded / constant - 1).abs().max().item<double>() < 0.1);
    }
    at::manual_seed(3);
    at::Tensor half = at::randn({32, 512}) * 0.05;
    half.narrow(1, 0, 256).zero_(); // whole groups, and all super-blocks of these columns
    const at::Tensor decoded = codec.decode(rounded(half));
    QVERIFY(decoded.isfinite().all().item<bool>());
    QVERIFY(decoded.narrow(1, 0, 256).eq(0).all().item<bool>());
}

BITSMITH_TEST(DegenerateWeightsTest)
#include "degenerate_weights_test.moc"
