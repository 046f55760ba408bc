// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/command_line.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith::gui;
using namespace Qt::StringLiterals;

class CommandLineTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void takesPathsAndOptions();
    void printsHelpAndVersion();
    void refusesUnknownOptions();
};

void CommandLineTest::takesPathsAndOptions()
{
    const CommandLine line =
        parseCommandLine({u"bitsmith"_s, u"runs/a"_s, u"--demo"_s, u"--"_s, u"--odd-name"_s});
    QCOMPARE(line.paths, (QStringList{u"runs/a"_s, u"--odd-name"_s}));
    QVERIFY(line.demo);
    QVERIFY(line.text.isEmpty());
    QCOMPARE(parseCommandLine({u"bitsmith"_s, u"--screenshots"_s, u"out"_s}).screenshots, u"out"_s);
    QCOMPARE(parseCommandLine({u"bitsmith"_s, u"--screenshots=out"_s}).screenshots, u"out"_s);
}

void CommandLineTest::printsHelpAndVersion()
{
    QVERIFY(parseCommandLine({u"bitsmith"_s, u"--help"_s}).text.contains(u"--screenshots"_s));
    const CommandLine version = parseCommandLine({u"bitsmith"_s, u"--version"_s});
    QVERIFY(version.text.startsWith(u"bitsmith "_s));
    QCOMPARE(version.exitCode, 0);
}

void CommandLineTest::refusesUnknownOptions()
{
    const CommandLine line = parseCommandLine({u"bitsmith"_s, u"--demmo"_s});
    QCOMPARE(line.exitCode, 2);
    QVERIFY(line.text.contains(u"--demmo"_s));
    QCOMPARE(parseCommandLine({u"bitsmith"_s, u"--screenshots"_s}).exitCode, 2);
}

BITSMITH_TEST(CommandLineTest)
#include "command_line_test.moc"
