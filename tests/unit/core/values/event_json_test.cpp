// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/spec_json.h>

#include <QtTest>

#include <cmath>

using namespace bitsmith;

class EventJsonTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsBackEveryKind();
    void writesOneLine();
    void skipsKindsOfLaterVersions();
    void skipsFieldsOfLaterVersions();
    void keepsThatALossWasNotANumber();
    void refusesTextThatIsNoEvent_data();
    void refusesTextThatIsNoEvent();
};

namespace {

template <std::size_t... I>
std::vector<Event> one_of_each(std::index_sequence<I...>)
{
    return {Event{static_cast<int64_t>(I), 1700000000000 + static_cast<int64_t>(I),
        EventBody(std::in_place_index<I>)}...};
}

} // namespace

void EventJsonTest::readsBackEveryKind()
{
    auto events = one_of_each(std::make_index_sequence<std::variant_size_v<EventBody>>());
    LayerFinished layer;
    layer.layer = "model.layers.0.mlp.up_proj";
    layer.mse = 0.1;
    layer.out_mse = 1e-300;
    events.push_back({100, 5, layer});
    PlanReady plan;
    plan.plan.layers.push_back({"a", 0, 1, 2, parse_scheme("gguf:q4_1"), "default"});
    events.push_back({101, 6, plan});
    for (const Event& event : events) {
        const std::string line = to_json_line(event);
        const auto read = event_from_json(line);
        QVERIFY2(read.has_value(), line.c_str());
        QCOMPARE(read->body.index(), event.body.index());
        QCOMPARE(to_json_line(*read), line);
    }
    const auto read = event_from_json(to_json_line(events.back()));
    QVERIFY(read->get_if<PlanReady>()->plan == plan.plan);
}

void EventJsonTest::writesOneLine()
{
    const Event event{7, 9, LogLine{"tune", "two\nlines\r\n\xff"}};
    const std::string line = to_json_line(event);
    QCOMPARE(line.find('\n'), std::string::npos);
    QVERIFY(line.rfind(R"({"kind":"log_line","sequence":7,"time_ms":9,)", 0) == 0);
}

void EventJsonTest::skipsKindsOfLaterVersions()
{
    QVERIFY(!event_from_json(R"({"kind":"moon_rose","sequence":1,"time_ms":2,"x":[1]})"));
}

void EventJsonTest::skipsFieldsOfLaterVersions()
{
    const auto event = event_from_json(
        R"({"kind":"block_started","sequence":1,"time_ms":2,"block":3,"mood":"good"})");
    QCOMPARE(event->get_if<BlockStarted>()->block, int64_t{3});
}

void EventJsonTest::keepsThatALossWasNotANumber()
{
    IterationDone step;
    step.loss = std::nan("");
    const auto event = event_from_json(to_json_line({0, 0, step}));
    QVERIFY(std::isnan(event->get_if<IterationDone>()->loss));
}

void EventJsonTest::refusesTextThatIsNoEvent_data()
{
    QTest::addColumn<QByteArray>("line");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("a list") << QByteArray("[1]");
    QTest::newRow("no kind") << QByteArray(R"({"sequence":1,"time_ms":2})");
    QTest::newRow("no sequence") << QByteArray(R"({"kind":"job_paused","time_ms":2})");
    QTest::newRow("wrong type of a field")
        << QByteArray(R"({"kind":"block_started","sequence":1,"time_ms":2,"block":"x"})");
}

void EventJsonTest::refusesTextThatIsNoEvent()
{
    QFETCH(QByteArray, line);
    try {
        event_from_json(line.toStdString());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileCorrupt);
    }
}

BITSMITH_TEST(EventJsonTest)
#include "event_json_test.moc"
