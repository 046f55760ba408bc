// SPDX-License-Identifier: GPL-3.0-or-later
#include "console_observer.h"
#include "event_writer.h"
#include "result_table.h"
#include "support/test_main.h"
#include "text_format.h"

#include <bitsmith/spec_json.h>

#include <QtTest>

#include <algorithm>
#include <sstream>

using namespace bitsmith;

class ConsoleObserverTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void printsPlainLinesWithoutControlCharacters();
    void printsFewLinesForManySteps();
    void redrawsOneLineOnATerminal();
    void neverDrawsBeyondTheTerminal();
    void countsResumedBlocksAsDoneButNotAsFast();
    void tellsHowLongAStageStillTakes();
    void listsWhatRulesTakeBeforeTheStart();
    void writesOneJsonLinePerEvent();
    void showsTheWorstLayersOfAReport();
    void alignsColumnsOfNumbersToTheRight();
};

namespace {

struct Screen
{
    std::ostringstream out, err;
    cli::Console console(bool terminal, int width = 80) { return {out, err, terminal, width}; }
};

/// A job of `blocks` blocks with `steps` steps of 100 ms each.
std::vector<Event> job(int64_t blocks, int64_t steps)
{
    std::vector<Event> events;
    int64_t time = 1'000'000;
    const auto add = [&](EventBody body) {
        events.push_back({static_cast<int64_t>(events.size()), time, std::move(body)});
    };
    JobStarted started;
    started.run = "runs/one";
    started.blocks = blocks;
    started.iters = steps;
    add(started);
    add(StageStarted{Stage::Tune, "default"});
    add(MemorySample{500 << 20, 600 << 20, 0, 0});
    for (int64_t block = 0; block < blocks; ++block) {
        add(BlockStarted{block, 7, steps});
        for (int64_t step = 0; step < steps; ++step) {
            time += 100;
            add(IterationDone{block, step, 0.001, 0.001, 0.005});
        }
        add(BlockFinished{
            block, 3e-3, 2e-3, 1e-3, steps, steps - 1, static_cast<double>(steps) / 10, false});
    }
    add(Warning{"V03", "three layers stay at 16 bits"});
    add(StageFinished{Stage::Tune, 12});
    return events;
}

void feed(cli::ConsoleObserver& observer, const std::vector<Event>& events)
{
    for (const Event& event : events) {
        observer.on_event(event);
    }
}

} // namespace

void ConsoleObserverTest::printsPlainLinesWithoutControlCharacters()
{
    Screen screen;
    cli::ConsoleObserver observer(screen.console(false));
    feed(observer, job(2, 50));
    const std::string text = screen.err.str();
    QCOMPARE(text.find('\r'), std::string::npos);
    QCOMPARE(text.find('\033'), std::string::npos);
    for (const char* part : {"runs/one", "== tune: default", "block 2/2  loss 0.001",
             "rounding 0.003", "warning: three layers stay at 16 bits [V03]"}) {
        QVERIFY2(text.find(part) != std::string::npos, text.c_str());
    }
    QVERIFY(screen.out.str().empty());
}

void ConsoleObserverTest::printsFewLinesForManySteps()
{
    Screen screen;
    cli::ConsoleObserver observer(screen.console(false));
    feed(observer, job(1, 1000)); // 100 s in one block
    const std::string text = screen.err.str();
    const auto lines = std::count(text.begin(), text.end(), '\n');
    QVERIFY2(lines >= 12 && lines <= 20, text.c_str());
}

void ConsoleObserverTest::redrawsOneLineOnATerminal()
{
    Screen screen;
    {
        cli::ConsoleObserver observer(screen.console(true, 120));
        feed(observer, job(2, 50));
    }
    const std::string text = screen.err.str();
    QVERIFY(text.find("\r[####") != std::string::npos);
    QVERIFY2(
        text.find("block 2/2  step 10/50  loss 0.001  ETA 4.0 s  500.0 MiB") != std::string::npos,
        text.c_str());
    // The live line is gone at the end.
    QCOMPARE(text.substr(text.size() - 1), std::string("\n"));
}

void ConsoleObserverTest::neverDrawsBeyondTheTerminal()
{
    Screen screen;
    cli::ConsoleObserver observer(screen.console(true, 40));
    feed(observer, job(2, 20));
    const QStringList drawings = QString::fromStdString(screen.err.str()).split(QLatin1Char('\r'));
    for (QString drawing : drawings) {
        if (drawing.startsWith(QLatin1Char('['))) {
            drawing.truncate(drawing.indexOf(QLatin1Char('\033')));
            QVERIFY2(drawing.size() <= 39, qPrintable(drawing));
        }
    }
}

void ConsoleObserverTest::countsResumedBlocksAsDoneButNotAsFast()
{
    Screen screen;
    cli::ConsoleObserver observer(screen.console(false));
    JobStarted started;
    started.blocks = 4;
    started.resumed_blocks = 2;
    observer.on_event({0, 0, started});
    for (int64_t block = 0; block < 2; ++block) {
        observer.on_event({0, 0, BlockFinished{block, 0, 0, 0, 1, 0, 1000, true}});
    }
    observer.on_event({0, 0, BlockFinished{2, 0, 0, 0, 1, 0, 10, false}});
    const std::string text = screen.err.str();
    QVERIFY2(text.find("2 of 4 blocks are finished") != std::string::npos, text.c_str());
    QVERIFY2(text.find("ETA 10 s") != std::string::npos, text.c_str());
}

void ConsoleObserverTest::tellsHowLongAStageStillTakes()
{
    Screen screen;
    cli::ConsoleObserver observer(screen.console(true));
    const auto progress = [&](int64_t ms, int64_t done, const char* unit) {
        observer.on_event({0, ms, StageProgress{Stage::Calibrate, done, 10, unit}});
    };
    progress(1'000, 5, "samples");
    progress(61'000, 0, "passes"); // counts from here on
    progress(63'000, 1, "passes");
    const std::string text = screen.err.str();
    QVERIFY2(text.find("5/10 samples\033") != std::string::npos, text.c_str());
    QVERIFY2(text.find("0/10 passes\033") != std::string::npos, text.c_str());
    QVERIFY2(text.find("1/10 passes  ETA 18 s") != std::string::npos, text.c_str());
}

void ConsoleObserverTest::listsWhatRulesTakeBeforeTheStart()
{
    ModelInfo model;
    model.blocks = 5;
    for (int64_t i = 0; i < model.blocks; ++i) {
        for (const char* name : {".v_proj", ".o_proj"}) {
            model.layers.push_back(
                {"layers." + std::to_string(i) + name, i, 64, 64, "BF16", 0, true, ""});
        }
    }
    JobSpec spec;
    spec.scheme.scheme = "W4A16G32";
    spec.scheme.overrides = {{"v_proj", "W8A16G32"}};
    spec.scheme.keep = {"layers.4"};
    const Plan plan = build_plan(spec, model);
    Screen screen;
    cli::ConsoleObserver observer(screen.console(false));
    observer.on_event({0, 1, PlanReady{plan, average_bits(plan)}});
    std::ostringstream table;
    cli::print_plan(table, plan, {});
    for (const std::string& text : {screen.err.str(), table.str()}) {
        for (const char* line : {"override 'v_proj': W8A16G32, 4 layers: layers.0.v_proj, "
                                 "layers.1.v_proj, layers.2.v_proj and 1 more\n",
                 "keep 'layers.4': 16 bits, 2 layers: layers.4.v_proj, layers.4.o_proj\n"}) {
            QVERIFY2(text.find(line) != std::string::npos, text.c_str());
        }
    }
    QVERIFY(screen.err.str().find("default") == std::string::npos);
}

void ConsoleObserverTest::writesOneJsonLinePerEvent()
{
    std::ostringstream out;
    cli::EventWriter writer("-", out);
    const auto events = job(2, 3);
    for (const Event& event : events) {
        writer.on_event(event);
    }
    writer.finish();
    std::istringstream in(out.str());
    std::string line;
    for (const Event& event : events) {
        QVERIFY(std::getline(in, line));
        QCOMPARE(to_json_line(*event_from_json(line)), to_json_line(event));
    }
    QVERIFY(!std::getline(in, line));
    out.setstate(std::ios::badbit);
    QVERIFY_EXCEPTION_THROWN(writer.finish(), Error);
    QVERIFY_EXCEPTION_THROWN(cli::EventWriter("/nowhere/at/all", out), Error);
}

void ConsoleObserverTest::showsTheWorstLayersOfAReport()
{
    Report report;
    report.run = "runs/one";
    report.average_bits = 4.25;
    report.exports = {{"gguf", "out.gguf", 3 << 20}};
    for (int i = 0; i < 9; ++i) {
        LayerReport layer;
        layer.name = "layer" + std::to_string(i);
        layer.bits = i == 0 ? 16 : 4;
        layer.sqnr_db = i;
        report.layers.push_back(layer);
    }
    report.eval = EvalReport{};
    report.eval->kld_mean = 0.0123;
    report.eval->top1_agreement = 0.9;
    std::ostringstream out;
    cli::print_report(out, report, 10 << 20);
    const std::string text = out.str();
    for (const char* part :
        {"10.0 MiB", "3.0 MiB, out.gguf", "0.0123", "90.00 %", "layer1", "layer5", "4.250"}) {
        QVERIFY2(text.find(part) != std::string::npos, text.c_str());
    }
    QVERIFY2(text.find("layer0") == std::string::npos, "a kept layer has no error");
    QVERIFY2(text.find("layer6") == std::string::npos, "only the worst five");
}

void ConsoleObserverTest::alignsColumnsOfNumbersToTheRight()
{
    std::ostringstream out;
    cli::print_columns(out, {{"name", "n"}, {"é", "1"}, {"long", "100"}}, true);
    QCOMPARE(out.str(), std::string("name    n\né       1\nlong  100\n"));
}

BITSMITH_TEST(ConsoleObserverTest)
#include "console_observer_test.moc"
