// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "widgets/text/job_command.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;

class JobCommandTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void namesOnlyWhatDiffersFromTheRecipe();
    void writesSwitchesLikeTheCommandLine();
    void quotesForAShell();
};

void JobCommandTest::namesOnlyWhatDiffersFromTheRecipe()
{
    JobSpec spec;
    spec.model.path = "/models/a";
    spec.recipe = named_recipe("light");
    spec.recipe.nsamples = 64;
    spec.evaluation.metrics = {"kld", "ppl"};
    spec.evaluation.tokens = 8192;
    const QString command = jobCommand(spec);
    QCOMPARE(command,
        QStringLiteral("bitsmith-cli quantize /models/a --scheme W4A16 --recipe light --nsamples "
                       "64 --format auto_round --eval kld,ppl --eval-tokens 8192"));
}

void JobCommandTest::writesSwitchesLikeTheCommandLine()
{
    JobSpec spec;
    spec.model.path = "m";
    spec.recipe.name = "custom";
    spec.recipe.enable_minmax_tuning = false;
    spec.scheme.sym = false;
    spec.scheme.overrides = {{"*v_proj", "W8A16"}};
    spec.scheme.keep = {"lm_head"};
    spec.calibration.prefix = CalibrationPrefix::None;
    const QString command = jobCommand(spec);
    QVERIFY(command.contains(QStringLiteral(" --no-enable-minmax-tuning")));
    QVERIFY(command.contains(QStringLiteral(" --no-sym ")));
    QVERIFY(command.contains(QStringLiteral(" --override '*v_proj=W8A16' --keep lm_head")));
    QVERIFY(command.contains(QStringLiteral(" --calibration-prefix none")));
    QVERIFY(!command.contains(QStringLiteral("--recipe")));
}

void JobCommandTest::quotesForAShell()
{
    QCOMPARE(shellQuoted(QStringLiteral("plain/path-1.gguf")), QStringLiteral("plain/path-1.gguf"));
    QCOMPARE(shellQuoted(QStringLiteral("two words")), QStringLiteral("'two words'"));
    QCOMPARE(shellQuoted(QStringLiteral("it's $HOME")), QStringLiteral("'it'\\''s $HOME'"));
    QCOMPARE(shellQuoted(QString()), QStringLiteral("''"));
}

BITSMITH_TEST(JobCommandTest)
#include "job_command_test.moc"
