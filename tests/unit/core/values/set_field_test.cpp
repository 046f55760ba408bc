// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/error.h>
#include <bitsmith/spec_json.h>

#include <QtTest>

using namespace bitsmith;

class SetFieldTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void setsFieldsOfEveryType();
    void clearsOptionalFields();
    void aRecipeNameBringsItsNumbers();
    void refusesValues_data();
    void refusesValues();
};

void SetFieldTest::setsFieldsOfEveryType()
{
    JobSpec spec;
    set_field(spec, "recipe.iters", "500");
    set_field(spec, "recipe.lr", "5e-3");
    set_field(spec, "scheme.sym", "no");
    set_field(spec, "recipe.selection", "minibatch");
    set_field(spec, "exports.formats", "auto_round, gguf");
    set_field(spec, "scheme.overrides", "*v_proj=W8A16;lm_head=bits=4,group_size=32");
    set_field(spec, "calibration.holdout", "0.25");
    QCOMPARE(spec.recipe.iters, int64_t{500});
    QCOMPARE(spec.recipe.lr.value(), 0.005);
    QCOMPARE(spec.scheme.sym.value(), false);
    QCOMPARE(spec.recipe.selection, Selection::Minibatch);
    QCOMPARE(spec.exports.formats, (std::vector<std::string>{"auto_round", "gguf"}));
    QCOMPARE(spec.scheme.overrides[1].pattern, std::string("lm_head"));
    QCOMPARE(spec.scheme.overrides[1].scheme, std::string("bits=4,group_size=32"));
    QCOMPARE(spec.calibration.holdout, 0.25);
}

void SetFieldTest::clearsOptionalFields()
{
    JobSpec spec;
    set_field(spec, "scheme.bits", "3");
    set_field(spec, "scheme.bits", "auto");
    QVERIFY(!spec.scheme.bits);
}

void SetFieldTest::aRecipeNameBringsItsNumbers()
{
    JobSpec spec;
    set_field(spec, "recipe.name", "best");
    QCOMPARE(spec.recipe.iters, int64_t{1000});
}

void SetFieldTest::refusesValues_data()
{
    QTest::addColumn<QString>("path");
    QTest::addColumn<QString>("value");
    QTest::addColumn<QString>("part");
    QTest::newRow("half a number") << "recipe.iters"
                                   << "12x"
                                   << "0 to 100000 steps";
    QTest::newRow("below the range") << "recipe.iters"
                                     << "-1"
                                     << "0 to 100000 steps";
    QTest::newRow("bits of a field list") << "scheme.bits"
                                          << "9"
                                          << "2 to 8 bits";
    QTest::newRow("not a number") << "recipe.lr"
                                  << "nan"
                                  << "0 to 10";
    QTest::newRow("infinite") << "exports.max_shard_gb"
                              << "inf"
                              << "0.001 to 1000 GB";
    QTest::newRow("decimal comma") << "calibration.holdout"
                                   << "0,1"
                                   << "0 to 0.5";
    QTest::newRow("choice") << "calibration.packing"
                            << "loose"
                            << "packed, filtered";
    QTest::newRow("switch") << "scheme.quant_lm_head"
                            << "maybe"
                            << "true or false";
    QTest::newRow("rule without scheme") << "scheme.overrides"
                                         << "v_proj="
                                         << "PATTERN=SCHEME";
    QTest::newRow("typo in the path") << "recipe.itres"
                                      << "1"
                                      << "recipe.iters";
    QTest::newRow("a section") << "recipe"
                               << "1"
                               << "unknown field";
    QTest::newRow("unknown recipe") << "recipe.name"
                                    << "bets"
                                    << "best";
}

void SetFieldTest::refusesValues()
{
    QFETCH(QString, path);
    QFETCH(QString, value);
    QFETCH(QString, part);
    JobSpec spec;
    try {
        set_field(spec, path.toStdString(), value.toStdString());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY2(
            std::string(error.what()).find(part.toStdString()) != std::string::npos, error.what());
    }
    QVERIFY(spec == JobSpec{});
}

BITSMITH_TEST(SetFieldTest)
#include "set_field_test.moc"
