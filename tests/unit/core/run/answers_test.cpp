// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/expect_error.h"
#include "support/test_main.h"
#include "unit/core/run/rounded_run.h"

#include <QtTest>

#include <algorithm>

using namespace bitsmith;

class AnswersTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void findsNoDifferenceToTheSameWeights();
    void readsTheFileInAnExportedFolder();
    void findsWhereCoarseWeightsAnswerOtherwise();
    void stopsWhenItIsCancelled();
    void refusesWhatIsNoExport();

private:
    std::filesystem::path finish(const std::string& scheme) const
    {
        const JobSpec spec = rounded_run::spec(m_model.path(), scheme, m_temp / scheme);
        rounded_run::finish(spec);
        return spec.runtime.run_dir;
    }

    const rounded_run::Model m_model;
    const TempFolder m_temp;
};

void AnswersTest::findsNoDifferenceToTheSameWeights()
{
    const auto run = finish("W8A16G32");
    NullObserver silent;
    convert_model({m_model.path(), "bf16", "", m_temp / "same"}, silent, {});
    RecordingObserver seen;
    const std::vector<AnswerPair> pairs = compare_answers(run, m_temp / "same", seen, {});
    QCOMPARE(pairs.size(), comparison_prompts().size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        QCOMPARE(pairs[i].prompt, comparison_prompts()[i]);
        QCOMPARE(pairs[i].first_difference, int64_t(-1));
        QCOMPARE(pairs[i].quantized, pairs[i].original);
    }
    const auto* last = seen.events.back().get_if<StageProgress>();
    QVERIFY(last != nullptr && last->done > last->total / 2 && last->done <= last->total);
}

void AnswersTest::readsTheFileInAnExportedFolder()
{
    const auto run = finish("W8A16G64");
    NullObserver silent;
    export_run(run, "gguf", m_temp / "file", silent, {});
    const auto pairs = compare_answers(run, m_temp / "file", silent, {});
    QCOMPARE(pairs.size(), comparison_prompts().size());
    QVERIFY(std::any_of(pairs.begin(), pairs.end(),
        [](const AnswerPair& pair) { return !pair.quantized.empty(); }));
}

void AnswersTest::findsWhereCoarseWeightsAnswerOtherwise()
{
    const auto run = finish("W2A16G32");
    NullObserver silent;
    export_run(run, "auto_round", m_temp / "coarse", silent, {});
    const auto pairs = compare_answers(run, m_temp / "coarse", silent, {});
    const auto differ = [](const AnswerPair& pair) { return pair.first_difference >= 0; };
    QVERIFY(std::any_of(pairs.begin(), pairs.end(), differ));
    for (const AnswerPair& pair : pairs) {
        // Equal texts of different tokens exist; different texts of equal tokens do not.
        QVERIFY(differ(pair) || pair.original == pair.quantized);
    }
}

void AnswersTest::stopsWhenItIsCancelled()
{
    const auto run = finish("W4A16G32");
    NullObserver silent;
    export_run(run, "auto_round", m_temp / "stopped", silent, {});
    RunControl control;
    control.cancel();
    QVERIFY_EXCEPTION_THROWN(compare_answers(run, m_temp / "stopped", silent, control), Cancelled);
}

void AnswersTest::refusesWhatIsNoExport()
{
    const auto run = finish("W4A16G64");
    NullObserver silent;
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({"is not here"}),
        compare_answers(run, m_temp / "is not here", silent, {}));
}

BITSMITH_TEST(AnswersTest)
#include "answers_test.moc"
