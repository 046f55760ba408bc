// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/catalog.h>
#include <bitsmith/error.h>
#include <bitsmith/plan.h>

#include <QtTest>

using namespace bitsmith;

class SchemeTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void roundTripsEveryCataloguedScheme_data();
    void roundTripsEveryCataloguedScheme();
    void roundTripsSchemesWithoutAName();
    void readsNames_data();
    void readsNames();
    void namesTheNearestSchemeInErrors_data();
    void namesTheNearestSchemeInErrors();
    void countsScalesAndZeroPoints_data();
    void countsScalesAndZeroPoints();
    void averagesBitsOverTheBlocksOnly();
};

void SchemeTest::roundTripsEveryCataloguedScheme_data()
{
    QTest::addColumn<int>("index");
    QVERIFY(scheme_catalog().size() >= 20);
    for (int i = 0; i < static_cast<int>(scheme_catalog().size()); ++i) {
        QTest::newRow(scheme_catalog()[static_cast<std::size_t>(i)].name.c_str()) << i;
    }
}

void SchemeTest::roundTripsEveryCataloguedScheme()
{
    QFETCH(int, index);
    const SchemeInfo& info = scheme_catalog()[static_cast<std::size_t>(index)];
    QVERIFY(parse_scheme(info.name) == info.scheme);
    QCOMPARE(scheme_name(info.scheme), info.name);
    QVERIFY(!info.title.empty());
}

void SchemeTest::roundTripsSchemesWithoutAName()
{
    Scheme scheme;
    scheme.bits = 4;
    scheme.group_size = 16;
    scheme.data_type = DataType::MxFp;
    scheme.act_bits = 8;
    const std::string name = scheme_name(scheme);
    QVERIFY2(name.find("data_type=mx_fp") != std::string::npos, name.c_str());
    QVERIFY(parse_scheme(name) == scheme);
}

void SchemeTest::readsNames_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("group");
    QTest::addColumn<bool>("sym");
    QTest::newRow("short") << "w4g64" << 4 << 64 << true;
    QTest::newRow("lower case") << "w2a16g32" << 2 << 32 << true;
    QTest::newRow("blanks") << "  W8A16 " << 8 << 128 << true;
    QTest::newRow("asymmetric") << "W4A16_asym" << 4 << 128 << false;
    QTest::newRow("one group per row") << "W4A16G-1_ASYM" << 4 << -1 << false;
    QTest::newRow("gguf") << "GGUF:Q4_1" << 4 << 32 << false;
    QTest::newRow("keep") << "keep" << 16 << 128 << true;
    QTest::newRow("half precision gguf") << "gguf:fp16" << 16 << 128 << true;
}

void SchemeTest::readsNames()
{
    QFETCH(QString, text);
    const Scheme scheme = parse_scheme(text.toStdString());
    QTEST(static_cast<int>(scheme.bits), "bits");
    QTEST(static_cast<int>(scheme.group_size), "group");
    QTEST(scheme.sym, "sym");
}

void SchemeTest::namesTheNearestSchemeInErrors_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("hint");
    QTest::newRow("typo") << "W4A17"
                          << "W4A16";
    QTest::newRow("gguf type without its prefix") << "q4_0"
                                                  << "gguf:q4_0";
    QTest::newRow("unknown gguf type") << "gguf:q4_9"
                                       << "gguf:q4_0";
    QTest::newRow("bits out of range") << "W9A16"
                                       << "W2A16";
    QTest::newRow("empty") << ""
                           << "list schemes";
    QTest::newRow("trailing text") << "W4A16G64X"
                                   << "W4A16G64";
}

void SchemeTest::namesTheNearestSchemeInErrors()
{
    QFETCH(QString, text);
    QFETCH(QString, hint);
    try {
        parse_scheme(text.toStdString());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY2(error.hint().find(hint.toStdString()) != std::string::npos, error.what());
    }
}

void SchemeTest::countsScalesAndZeroPoints_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<double>("bits");
    QTest::newRow("4 bits, 128 columns per group") << "W4A16" << 4.0 + 20.0 / 128;
    QTest::newRow("2 bits, 32 columns per group") << "W2A16G32" << 2.0 + 18.0 / 32;
    QTest::newRow("one group per row") << "W4A16G-1" << 4.0 + 20.0 / 576;
    QTest::newRow("Q4_0") << "gguf:q4_0" << 4.5;
    QTest::newRow("Q4_1") << "gguf:q4_1" << 5.0;
    QTest::newRow("Q5_0") << "gguf:q5_0" << 5.5;
    QTest::newRow("Q5_1") << "gguf:q5_1" << 6.0;
    QTest::newRow("Q8_0") << "gguf:q8_0" << 8.5;
    QTest::newRow("kept") << "BF16" << 16.0;
}

void SchemeTest::countsScalesAndZeroPoints()
{
    QFETCH(QString, name);
    // 576 columns: the last of five groups of 128 is short and has a scale of its own.
    const bool short_group = name == QLatin1String("W4A16");
    const double bits = effective_bits(parse_scheme(name.toStdString()), short_group ? 640 : 576);
    QTEST(bits, "bits");
    QCOMPARE(effective_bits(parse_scheme("W4A16"), 576), 4.0 + 5 * 20.0 / 576);
}

void SchemeTest::averagesBitsOverTheBlocksOnly()
{
    Plan plan;
    plan.layers.push_back({"a", 0, 32, 64, parse_scheme("W4A16G64"), "default"});
    plan.layers.push_back({"b", 0, 32, 64, keep_scheme(), "keep"});
    plan.layers.push_back({"lm_head", -1, 1000, 64, keep_scheme(), "outside"});
    QCOMPARE(average_bits(plan), (4.0 + 20.0 / 64 + 16.0) / 2);
    QCOMPARE(plan.find("b")->reason, std::string("keep"));
    QVERIFY(plan.find("c") == nullptr);
    QCOMPARE(average_bits(Plan{}), 0.0);
}

BITSMITH_TEST(SchemeTest)
#include "scheme_test.moc"
