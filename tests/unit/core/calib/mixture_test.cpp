// SPDX-License-Identifier: GPL-3.0-or-later
// Datasets of several sources: how they are written, shared out, held out and mixed.
#include "calib/dataset_entry.h"
#include "calib/mixture.h"
#include "support/expect_error.h"
#include "support/test_main.h"

#include <QtTest>

#include <algorithm>
#include <cmath>

using namespace bitsmith;
using namespace bitsmith::calib;
using Counts = std::vector<int64_t>;

class MixtureTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsEntriesAndOptions();
    void refusesOptions_data();
    void refusesOptions();
    void sharesEqually();
    void passesOnWhatASourceLacks();
    void takesNumbersFirst();
    void holdsOutOfEverySource();
    void mixesEvenly();
};

void MixtureTest::readsEntriesAndOptions()
{
    const auto entries = parse_dataset(" a.txt , b.jsonl:num=32:concat=false,self:num=4, "
                                       "c.json:system_prompt=Be brief. ,d:concat");
    QCOMPARE(entries.size(), std::size_t(5));
    QCOMPARE(entries[0].name, std::string("a.txt"));
    QVERIFY(!entries[0].num && !entries[0].packing && !entries[0].apply_chat_template);
    QCOMPARE(entries[1].num.value(), int64_t{32});
    QVERIFY(entries[1].packing == Packing::Filtered);
    QVERIFY(entries[2].is_self());
    QCOMPARE(entries[2].num.value(), int64_t{4});
    QCOMPARE(entries[3].system_prompt, std::string("Be brief."));
    QVERIFY(entries[3].apply_chat_template);
    QVERIFY(entries[4].packing == Packing::Packed);
    QVERIFY(parse_dataset("x.safetensors:num=2")[0].is_tokens());
}

void MixtureTest::refusesOptions_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("found");
    for (const auto& [text, found] : {std::pair("a.txt:train", "train"), {"a.txt:num=0", "num=0"},
             {"a.txt:num=4x", "num=4x"}, {"a.txt:num", "num"}, {"a.txt:concat=no", "concat=no"},
             {"b,a.txt:split=test", "split=test"}, {"self:concat", "concat"},
             {"a.txt:system_prompt", "system_prompt"},
             {"ids.safetensors:apply_chat_template", "apply_chat_template"}}) {
        QTest::newRow(text) << text << found;
    }
}

void MixtureTest::refusesOptions()
{
    QFETCH(QString, text);
    QFETCH(QString, found);
    EXPECT_ERROR(InvalidSpec,
        EXPECT_WORDS({"calibration.dataset", "found: " + found.toStdString(), "allowed: "}),
        parse_dataset(text.toStdString()));
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"no calibration text"}), parse_dataset(" , "));
}

void MixtureTest::sharesEqually()
{
    QCOMPARE(shares({{100, {}}, {100, {}}}, 64), (Counts{32, 32}));
    const Counts three = shares({{100, {}}, {100, {}}, {100, {}}}, 64);
    QCOMPARE(three[0] + three[1] + three[2], int64_t{64});
    const auto [least, most] = std::minmax_element(three.begin(), three.end());
    QVERIFY(*most - *least <= 1);
    QCOMPARE(shares({{100, {}}}, 64), (Counts{64}));
}

void MixtureTest::passesOnWhatASourceLacks()
{
    QCOMPARE(shares({{100, {}}, {5, {}}, {100, {}}}, 65), (Counts{30, 5, 30}));
    QCOMPARE(shares({{0, {}}, {7, {}}}, 10), (Counts{0, 7}));
}

void MixtureTest::takesNumbersFirst()
{
    QCOMPARE(shares({{100, {}}, {100, 10}, {100, {}}}, 64), (Counts{27, 10, 27}));
    QCOMPARE(shares({{100, {}}, {4, 10}}, 64), (Counts{60, 4})); // what is missing goes to others
    QCOMPARE(shares({{100, 8}, {100, 16}}, 64), (Counts{8, 16}));
}

void MixtureTest::holdsOutOfEverySource()
{
    QCOMPARE(held_out({64, 32}, 0.125), (Counts{8, 4}));
    QCOMPARE(held_out({64, 3, 1, 0}, 0.125), (Counts{8, 1, 0, 0}));
    QCOMPARE(held_out({3}, 0.125), (Counts{0}));
    QCOMPARE(held_out({64, 3}, 0), (Counts{0, 0}));
}

void MixtureTest::mixesEvenly()
{
    QCOMPARE(interleaved({2, 2}), (std::vector<std::size_t>{0, 1, 0, 1}));
    QCOMPARE(interleaved({3}), (std::vector<std::size_t>{0, 0, 0}));
    QVERIFY(interleaved({0, 0}).empty());
    const Counts counts = {40, 10, 0, 14};
    const std::vector<std::size_t> order = interleaved(counts);
    QCOMPARE(order.size(), std::size_t(64));
    Counts taken(counts.size(), 0);
    for (std::size_t i = 0; i < order.size(); ++i) {
        ++taken[order[i]];
        for (std::size_t source = 0; source < counts.size(); ++source) {
            const double fair = static_cast<double>(counts[source] * int64_t(i + 1)) / 64;
            QVERIFY(std::abs(static_cast<double>(taken[source]) - fair) < 2);
        }
    }
    QCOMPARE(taken, counts);
}

BITSMITH_TEST(MixtureTest)
#include "mixture_test.moc"
