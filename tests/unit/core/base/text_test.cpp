// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;

class TextTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void matchesPatterns_data();
    void matchesPatterns();
    void findsTheNearestWord();
    void formatsBytesAndDurations();
    void splitsAndTrims();
    void showsTheFirstOfALongList();
};

void TextTest::matchesPatterns_data()
{
    QTest::addColumn<QString>("pattern");
    QTest::addColumn<QString>("name");
    QTest::addColumn<bool>("matches");
    QTest::newRow("part of the name") << "v_proj"
                                      << "model.layers.3.self_attn.v_proj" << true;
    QTest::newRow("number does not match a longer one") << "layers.4"
                                                        << "model.layers.40.q" << false;
    QTest::newRow("number matches itself") << "layers.4"
                                           << "model.layers.4.q" << true;
    QTest::newRow("star") << "*.layers.?.mlp.*"
                          << "model.layers.7.mlp.up_proj" << true;
    QTest::newRow("star covers the whole name") << "layers.*"
                                                << "model.layers.7" << false;
    QTest::newRow("two stars") << "*q*proj"
                               << "a.q_proj" << true;
    QTest::newRow("empty pattern") << ""
                                   << "a" << false;
}

void TextTest::matchesPatterns()
{
    QFETCH(QString, pattern);
    QFETCH(QString, name);
    QFETCH(bool, matches);
    QCOMPARE(matches_pattern(pattern.toStdString(), name.toStdString()), matches);
}

void TextTest::findsTheNearestWord()
{
    QCOMPARE(nearest("defualt", {"best", "default", "light"}), std::string("default"));
    QCOMPARE(nearest("zzzzzz", {"best", "default", "light"}), std::string());
}

void TextTest::formatsBytesAndDurations()
{
    QCOMPARE(format_bytes(512), std::string("512 B"));
    QCOMPARE(format_bytes(3 * 1024 * 1024 / 2), std::string("1.5 MiB"));
    QCOMPARE(format_duration(3.21), std::string("3.2 s"));
    QCOMPARE(format_duration(125), std::string("2 min 05 s"));
    QCOMPARE(format_duration(3660), std::string("1 h 01 min"));
}

void TextTest::splitsAndTrims()
{
    QCOMPARE(split(" a, b,,c ", ','), (std::vector<std::string>{"a", "b", "c"}));
}

void TextTest::showsTheFirstOfALongList()
{
    QCOMPARE(some_of({"a", "b", "c"}), std::string("a, b, c"));
    QCOMPARE(some_of({"a", "b", "c", "d", "e"}), std::string("a, b, c and 2 more"));
    QCOMPARE(some_of({"a", "b"}, 1), std::string("a and 1 more"));
    QCOMPARE(some_of({}), std::string());
}

BITSMITH_TEST(TextTest)
#include "text_test.moc"
