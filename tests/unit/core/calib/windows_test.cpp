// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/windows.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::calib;

class WindowsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void packsDocumentsIntoFullWindows();
    void beginsEveryWindowWithThePrefix();
    void dropsShortDocumentsWhenFiltering();
    void doesNotRepeatAPrefixThatADocumentHas();
    void dropsWindowsOfOneRepeatedToken();
};

void WindowsTest::packsDocumentsIntoFullWindows()
{
    WindowCutter cutter({.seqlen = 4, .packing = Packing::Packed, .prefix = {}, .separator = 0});
    cutter.add({1, 2, 3});
    cutter.add({4, 5, 6, 7, 8});
    QCOMPARE(cutter.windows(), (std::vector<Tokens>{{1, 2, 3, 0}, {4, 5, 6, 7}}));
    cutter.add({9, 10});
    QCOMPARE(cutter.windows().back(), (Tokens{8, 0, 9, 10}));
}

void WindowsTest::beginsEveryWindowWithThePrefix()
{
    WindowCutter cutter({.seqlen = 3, .packing = Packing::Packed, .prefix = 99, .separator = {}});
    cutter.add({1, 2, 3, 4, 5});
    QCOMPARE(cutter.windows(), (std::vector<Tokens>{{99, 1, 2}, {99, 3, 4}}));
}

void WindowsTest::dropsShortDocumentsWhenFiltering()
{
    WindowCutter cutter({.seqlen = 3, .packing = Packing::Filtered, .prefix = {}, .separator = 0});
    cutter.add({1, 2});
    cutter.add({1, 2, 3, 4});
    QCOMPARE(cutter.windows(), (std::vector<Tokens>{{1, 2, 3}}));
    QCOMPARE(cutter.counts().too_short, int64_t{1});
    QCOMPARE(cutter.counts().documents, int64_t{2});
}

void WindowsTest::doesNotRepeatAPrefixThatADocumentHas()
{
    WindowCutter cutter({.seqlen = 3, .packing = Packing::Filtered, .prefix = 99, .separator = {}});
    cutter.add({99, 1, 2, 3});
    QCOMPARE(cutter.windows(), (std::vector<Tokens>{{99, 1, 2}}));

    WindowCutter packed({.seqlen = 3, .packing = Packing::Packed, .prefix = 99, .separator = {}});
    packed.add({99, 1, 2, 3});
    packed.add({99, 4, 5});
    QCOMPARE(packed.windows(), (std::vector<Tokens>{{99, 1, 2}, {99, 3, 4}}));
}

void WindowsTest::dropsWindowsOfOneRepeatedToken()
{
    WindowCutter cutter({.seqlen = 4, .packing = Packing::Packed, .prefix = {}, .separator = {}});
    cutter.add({5, 5, 5, 5, 1, 2, 3, 4});
    QCOMPARE(cutter.windows(), (std::vector<Tokens>{{1, 2, 3, 4}}));
    QCOMPARE(cutter.counts().repetitive, int64_t{1});
}

BITSMITH_TEST(WindowsTest)
#include "windows_test.moc"
