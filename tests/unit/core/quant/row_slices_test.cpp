// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/row_slices.h"
#include "support/test_main.h"
#include "values/scheme_presets.h"

#include <bitsmith/catalog.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::quant;

class RowSlicesTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decodesByRows_data();
    void decodesByRows();
};

void RowSlicesTest::decodesByRows_data()
{
    QTest::addColumn<std::string>("name");
    for (const SchemeInfo& info : scheme_catalog()) {
        if (info.scheme.is_quantized() && !is_gguf_mix(info.scheme) && info.scheme.mix.empty()) {
            QTest::addRow("%s", info.name.c_str()) << info.name;
        }
    }
}

void RowSlicesTest::decodesByRows()
{
    QFETCH(std::string, name);
    const Scheme scheme = parse_scheme(name);
    at::manual_seed(5);
    // The last tiles of 128 x 128, and the last slice, are cut short.
    const at::Tensor weight = at::randn({300, 512});
    const QuantizedWeight codes = codec_for(scheme).encode(weight, scheme, {});
    std::vector<at::Tensor> slices;
    int64_t next = 0;
    decode_by_rows(
        codes,
        [&](int64_t first, const at::Tensor& values) {
            QCOMPARE(first, next);
            next += values.size(0);
            slices.push_back(values);
        },
        7 * 512);
    QVERIFY(slices.size() > 1 || scheme.group_size == kGroupPerTensor);
    QVERIFY(at::equal(at::cat(slices), codec_for(scheme).decode(codes)));
}

BITSMITH_TEST(RowSlicesTest)
#include "row_slices_test.moc"
