// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tune/batch_sampler.h"
#include "tune/sign_sgd.h"

#include <QtTest>

#include <algorithm>
#include <numeric>
#include <set>

using namespace bitsmith;
using namespace bitsmith::tune;

namespace {

Scheme integers(int64_t bits)
{
    Scheme scheme;
    scheme.bits = bits;
    return scheme;
}

} // namespace

class ScheduleTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void fallsLinearlyFromOneOverTheSteps();
    void doublesTheRateForFewBitsAndManySteps();
    void obeysGivenRates();
    void leavesFactorsAloneWhenAsked();
    void leavesFactorsOfSuperScalesAlone();
    void drawsEverySampleOnceBeforeAnyTwice();
    void shufflesAsTheReferenceDoes();
    void dropsTheRestOfARound();
};

void ScheduleTest::fallsLinearlyFromOneOverTheSteps()
{
    Recipe recipe;
    recipe.iters = 200;
    const SignSchedule schedule(recipe, integers(4));
    QCOMPARE(schedule.at(0).rounding, 1.0 / 200);
    QCOMPARE(schedule.at(50).rounding, 0.75 / 200);
    QCOMPARE(schedule.at(50).range, 0.75 / 200);
    double travel = 0;
    for (int64_t i = 0; i < 200; ++i) {
        travel += schedule.at(i).rounding;
    }
    QVERIFY(std::abs(travel - 201.0 / 400) < 1e-12);
}

void ScheduleTest::doublesTheRateForFewBitsAndManySteps()
{
    Recipe recipe;
    recipe.iters = 1000;
    QCOMPARE(SignSchedule(recipe, integers(3)).at(0).rounding, 2.0 / 1000);
    QCOMPARE(SignSchedule(recipe, integers(4)).at(0).rounding, 1.0 / 1000);
    recipe.iters = 999;
    QCOMPARE(SignSchedule(recipe, integers(2)).at(0).rounding, 1.0 / 999);
}

void ScheduleTest::obeysGivenRates()
{
    Recipe recipe;
    recipe.iters = 1000;
    recipe.lr = 5e-3;
    QCOMPARE(SignSchedule(recipe, integers(2)).at(0).rounding, 5e-3);
    QCOMPARE(SignSchedule(recipe, integers(2)).at(0).range, 5e-3);
    recipe.minmax_lr = 1e-3;
    QCOMPARE(SignSchedule(recipe, integers(2)).at(500).range, 5e-4);
}

void ScheduleTest::leavesFactorsAloneWhenAsked()
{
    Recipe recipe;
    recipe.enable_minmax_tuning = false;
    QCOMPARE(SignSchedule(recipe, integers(4)).at(0).range, 0.0);
}

void ScheduleTest::leavesFactorsOfSuperScalesAlone()
{
    Recipe recipe;
    const Scheme scheme = parse_scheme("gguf:q2_k");
    QCOMPARE(SignSchedule(recipe, scheme).at(0).range, 0.0);
    recipe.mimic_reference = true;
    QCOMPARE(SignSchedule(recipe, scheme).at(0).range, 1.0 / 200);
    recipe.mimic_reference = false;
    recipe.minmax_lr = 1e-3;
    QCOMPARE(SignSchedule(recipe, scheme).at(0).range, 1e-3);
}

void ScheduleTest::drawsEverySampleOnceBeforeAnyTwice()
{
    BatchSampler sampler(own_shuffle(Random(3)), 12, 4);
    for (int round = 0; round < 3; ++round) {
        std::set<int64_t> seen;
        for (int i = 0; i < 3; ++i) {
            for (const int64_t sample : sampler.next()) {
                seen.insert(sample);
            }
        }
        QCOMPARE(seen.size(), std::size_t{12});
        QCOMPARE(*seen.rbegin(), int64_t{11});
    }
}

void ScheduleTest::shufflesAsTheReferenceDoes()
{
    // random.seed(42); x = list(range(12)); random.shuffle(x); random.shuffle(x)
    const std::vector<int64_t> first{7, 5, 2, 8, 9, 6, 11, 3, 4, 0, 1, 10};
    const std::vector<int64_t> second{6, 3, 2, 0, 1, 11, 9, 4, 8, 5, 10, 7};
    BatchSampler sampler(reference_shuffle(42, 12, 0), 12, 12);
    QCOMPARE(sampler.next(), first);
    QCOMPARE(sampler.next(), second);
    // The second block goes on where the first one, of 2 steps of 6 samples, ended.
    QCOMPARE(shuffles_for(2, 12, 6), int64_t{1});
    QCOMPARE(shuffles_for(5, 12, 5), int64_t{3});
    std::vector<int64_t> order(12);
    std::iota(order.begin(), order.end(), int64_t{0});
    Shuffle again = reference_shuffle(42, 12, 1);
    Shuffle whole = reference_shuffle(42, 12, 0);
    std::vector<int64_t> unused = order, expected = order;
    whole(unused);
    whole(expected);
    again(order);
    QCOMPARE(order, expected);
}

void ScheduleTest::dropsTheRestOfARound()
{
    BatchSampler sampler(own_shuffle(Random(3)), 7, 3);
    for (int i = 0; i < 20; ++i) {
        std::vector<int64_t> batch = sampler.next();
        QCOMPARE(batch.size(), std::size_t{3});
        std::sort(batch.begin(), batch.end());
        QVERIFY(std::adjacent_find(batch.begin(), batch.end()) == batch.end());
        QVERIFY(batch.front() >= 0 && batch.back() < 7);
    }
}

BITSMITH_TEST(ScheduleTest)
#include "schedule_test.moc"
