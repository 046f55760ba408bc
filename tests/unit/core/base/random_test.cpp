// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/random.h"
#include "support/test_main.h"

#include <QtTest>

#include <numeric>

using namespace bitsmith;

class RandomTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void followsThePublishedSequence();
    void givesEachPurposeItsOwnSequence();
    void shufflesIntoAPermutation();
};

void RandomTest::followsThePublishedSequence()
{
    // First outputs of SplitMix64 for seed 0, as printed by the authors' reference program.
    Random random(0);
    QCOMPARE(random.next(), uint64_t{0xE220A8397B1DCDAF});
    QCOMPARE(random.next(), uint64_t{0x6E789E6AA1B965F4});
}

void RandomTest::givesEachPurposeItsOwnSequence()
{
    QCOMPARE(Random(1, "batches", 3).next(), Random(1, "batches", 3).next());
    QVERIFY(Random(1, "batches", 3).next() != Random(1, "batches", 4).next());
    QVERIFY(Random(1, "batches", 3).next() != Random(1, "texts", 3).next());
    QVERIFY(Random(1, "batches", 3).next() != Random(2, "batches", 3).next());
}

void RandomTest::shufflesIntoAPermutation()
{
    std::vector<int> items(100);
    std::iota(items.begin(), items.end(), 0);
    std::vector<int> shuffled = items;
    Random(7).shuffle(shuffled);
    QVERIFY(shuffled != items);
    std::sort(shuffled.begin(), shuffled.end());
    QCOMPARE(shuffled, items);
}

BITSMITH_TEST(RandomTest)
#include "random_test.moc"
