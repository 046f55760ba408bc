// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tests/widgets/support/recorded_run.h"
#include "widgets/models/bit_map_model.h"
#include "widgets/models/layer_table_model.h"
#include "widgets/models/log_model.h"
#include "widgets/models/rule_table_model.h"
#include "widgets/models/run_list_model.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QSortFilterProxyModel>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;

namespace {

/// Folds `events` in batches of `size`, as a live job would deliver them.
void replay(RunState& state, const std::vector<Event>& events, std::size_t size)
{
    for (std::size_t at = 0; at < events.size(); at += size) {
        const std::size_t end = std::min(events.size(), at + size);
        state.fold({events.begin() + static_cast<std::ptrdiff_t>(at),
            events.begin() + static_cast<std::ptrdiff_t>(end)});
    }
}

constexpr auto kFatal = QAbstractItemModelTester::FailureReportingMode::QtTest;

} // namespace

class RunModelsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void obeyTheRulesOfModelsDuringAReplay();
    void bitMapHasARowPerModuleAndAColumnPerBlock();
    void bitMapKnowsErrorsOnlyOfFinishedLayers();
    void bitMapShowsTheMedianOfExperts();
    void layerTableSortsByNumberNotByText();
    void logFollowsTheRing();
    void ruleTableWritesOverridesAndKeepList();
    void patternsMatchNamesGlobsAndParts();
    void runListSaysWhichRunsCanContinue();
};

void RunModelsTest::obeyTheRulesOfModelsDuringAReplay()
{
    RunState state;
    BitMapModel map(&state);
    LayerTableModel layers(&state);
    LogModel log(&state);
    QSortFilterProxyModel sorted;
    sorted.setSourceModel(&layers);
    sorted.sort(LayerTableModel::Mse);
    const QAbstractItemModelTester a(&map, kFatal), b(&layers, kFatal), c(&log, kFatal),
        d(&sorted, kFatal);
    replay(state, testing::scriptedRun(), 37);
    QCOMPARE(log.rowCount(), static_cast<int>(state.picture().log.size()));
    state.clear();
    QCOMPARE(map.rowCount(), 0);
    QCOMPARE(layers.rowCount(), 0);
    QCOMPARE(log.rowCount(), 0);
}

void RunModelsTest::bitMapHasARowPerModuleAndAColumnPerBlock()
{
    RunState state;
    BitMapModel map(&state);
    replay(state, testing::scriptedRun(), 1000);
    QCOMPARE(map.rowCount(), 7);
    QCOMPARE(map.columnCount(), 30);
    QCOMPARE(map.headerData(6, Qt::Vertical).toString(), QStringLiteral("down_proj"));
    const QModelIndex outer = map.index(6, 0);
    QCOMPARE(outer.data().toString(), QStringLiteral("8.38"));
    QVERIFY(outer.data(BitMapModel::ExceptionRole).toBool());
    QVERIFY(!map.index(6, 10).data(BitMapModel::ExceptionRole).toBool());
    QCOMPARE(map.outsideText(), QStringLiteral("lm_head 16 bits"));
    const int layer = outer.data(BitMapModel::LayerRole).toInt();
    QCOMPARE(map.indexOfLayer(layer), outer);
    QVERIFY(!map.indexOfLayer(100000).isValid());
}

void RunModelsTest::bitMapKnowsErrorsOnlyOfFinishedLayers()
{
    testing::RunScript script;
    script.blocks = 3;
    script.finish = false;
    RunState state;
    BitMapModel map(&state);
    map.setMeasure(CellMeasure::Sqnr);
    replay(state, testing::scriptedRun(script), 11);
    QVERIFY(map.index(0, 1).data(BitMapModel::ValueRole).isValid());
    QVERIFY(!map.index(0, 2).data(BitMapModel::ValueRole).isValid());
    QCOMPARE(
        map.index(0, 2).data(BitMapModel::StateRole).toInt(), static_cast<int>(PartState::Active));
    QVERIFY(map.valueRange()->first < map.valueRange()->second);
    bool sawWorst = false;
    for (int row = 0; row < map.rowCount(); ++row) {
        const double position = map.index(row, 1).data(BitMapModel::PositionRole).toDouble();
        QVERIFY(position >= 0 && position <= 1);
        sawWorst = sawWorst || position > 0.5;
    }
    QVERIFY(sawWorst);
}

void RunModelsTest::bitMapShowsTheMedianOfExperts()
{
    RunState state;
    BitMapModel map(&state);
    std::vector<Event> events;
    const double bits[] = {2, 8, 4};
    for (int expert = 0; expert < 3; ++expert) {
        LayerFinished layer;
        layer.block = 0;
        layer.layer = "model.layers.0.mlp.experts." + std::to_string(expert) + ".up_proj";
        layer.bits = bits[expert];
        events.push_back({expert, expert, layer});
    }
    state.fold(events);
    QCOMPARE(map.rowCount(), 1);
    QCOMPARE(map.index(0, 0).data(BitMapModel::ValueRole).toDouble(), 4.0);
}

void RunModelsTest::layerTableSortsByNumberNotByText()
{
    RunState state;
    LayerTableModel layers(&state);
    QSortFilterProxyModel sorted;
    sorted.setSourceModel(&layers);
    sorted.setSortRole(LayerTableModel::SortRole);
    replay(state, testing::scriptedRun(), 500);
    sorted.sort(LayerTableModel::Block, Qt::DescendingOrder);
    QCOMPARE(sorted.index(0, LayerTableModel::Block).data().toString(), QStringLiteral("29"));
    sorted.sort(LayerTableModel::Mse, Qt::DescendingOrder);
    double last = std::numeric_limits<double>::max();
    for (int row = 0; row < sorted.rowCount(); ++row) {
        const double mse =
            sorted.index(row, LayerTableModel::Mse).data(LayerTableModel::SortRole).toDouble();
        QVERIFY(mse <= last);
        last = mse;
    }
    // lm_head was not quantized: no error, at the end.
    QCOMPARE(sorted.index(sorted.rowCount() - 1, 0).data(LayerTableModel::NameRole).toString(),
        QStringLiteral("lm_head"));
}

void RunModelsTest::logFollowsTheRing()
{
    RunState state;
    LogModel log(&state);
    const QAbstractItemModelTester tester(&log, kFatal);
    std::vector<Event> events;
    for (int i = 0; i < 100500; ++i) {
        events.push_back({i, i, LogLine{"run", std::to_string(i)}});
    }
    replay(state, events, 30000);
    QCOMPARE(log.rowCount(), 90500);
    QCOMPARE(
        log.index(log.rowCount() - 1, LogModel::Text).data().toString(), QStringLiteral("100499"));
}

void RunModelsTest::ruleTableWritesOverridesAndKeepList()
{
    JobDraft draft(nullptr, [](const JobSpec&, const ModelInfo*) { return std::vector<Issue>(); });
    RuleTableModel rules(&draft);
    const QAbstractItemModelTester tester(&rules, kFatal);
    rules.addRule(QStringLiteral("*v_proj"), QStringLiteral("W8A16"));
    rules.addRule(QStringLiteral("lm_head"), QStringLiteral("keep"));
    QCOMPARE(draft.spec().scheme.overrides.size(), std::size_t(1));
    QCOMPARE(draft.spec().scheme.keep, std::vector<std::string>{"lm_head"});
    QVERIFY(rules.setData(
        rules.index(0, RuleTableModel::SchemeName), QStringLiteral("keep"), Qt::EditRole));
    QVERIFY(draft.spec().scheme.overrides.empty());
    QVERIFY(!rules.setData(rules.index(0, RuleTableModel::Matches), 1, Qt::EditRole));
    rules.removeRule(0);
    QCOMPARE(draft.spec().scheme.keep, std::vector<std::string>{"lm_head"});
    draft.edit([](JobSpec& spec) { spec.scheme.keep = {"a", "b", "c"}; });
    QCOMPARE(rules.rowCount(), 3);
}

void RunModelsTest::patternsMatchNamesGlobsAndParts()
{
    const std::string name = "model.layers.3.mlp.down_proj";
    QVERIFY(matchesPattern(name, name));
    QVERIFY(matchesPattern("*down_proj", name));
    QVERIFY(matchesPattern("model.layers.?.mlp.*", name));
    QVERIFY(matchesPattern("mlp", name));
    QVERIFY(!matchesPattern("down_proj*", name));
    QVERIFY(!matchesPattern("", name));
    QVERIFY(!matchesPattern("model.layers.3(", name));
}

void RunModelsTest::runListSaysWhichRunsCanContinue()
{
    RunListModel list;
    const QAbstractItemModelTester tester(&list, kFatal);
    std::vector<RunSummary> runs(3);
    runs[0].state = JobState::Done;
    runs[0].model = "/models/Qwen3-0.6B/";
    runs[0].bytes = 420000000;
    runs[1].state = JobState::Interrupted;
    runs[1].blocks = 28;
    runs[1].blocks_done = 19;
    runs[2].state = JobState::Running;
    list.setRuns(runs);
    QCOMPARE(list.index(0).data().toString(), QStringLiteral("Qwen3-0.6B"));
    QCOMPARE(list.progressText(1), QStringLiteral("19 of 28 blocks"));
    QVERIFY(!RunListModel::canResume(runs[0]));
    QVERIFY(RunListModel::canResume(runs[1]));
    QVERIFY(!RunListModel::canResume(runs[2]));
}

BITSMITH_TEST(RunModelsTest)
#include "run_models_test.moc"
