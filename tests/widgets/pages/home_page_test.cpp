// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "widgets/models/run_list_model.h"
#include "widgets/pages/home_page.h"

#include <QListView>
#include <QPushButton>
#include <QSignalSpy>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;
using namespace Qt::StringLiterals;

namespace {

std::vector<RunSummary> twoRuns()
{
    std::vector<RunSummary> runs(2);
    runs[0].folder = "/runs/done";
    runs[0].model = "/models/a";
    runs[0].state = JobState::Done;
    runs[1].folder = "/runs/torn";
    runs[1].model = "/models/b";
    runs[1].state = JobState::Interrupted;
    return runs;
}

} // namespace

class HomePageTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void offersThreeWaysToBegin();
    void saysWhatToDoWithoutRuns();
    void opensAndResumesTheChosenRun();
};

void HomePageTest::offersThreeWaysToBegin()
{
    RunListModel runs;
    HomePage page(&runs);
    const QSignalSpy demo(&page, &HomePage::demoRequested);
    const QSignalSpy newJob(&page, &HomePage::newJobRequested);
    const QSignalSpy open(&page, &HomePage::openRunRequested);
    page.findChild<QPushButton*>(u"startDemoButton"_s)->click();
    page.findChild<QPushButton*>(u"homeNewJobButton"_s)->click();
    page.findChild<QPushButton*>(u"homeOpenRunButton"_s)->click();
    QCOMPARE(demo.size() + newJob.size() + open.size(), 3);
}

void HomePageTest::saysWhatToDoWithoutRuns()
{
    RunListModel runs;
    HomePage page(&runs);
    page.show();
    QVERIFY(!page.findChild<QListView*>(u"recentRunsList"_s)->isVisible());
    runs.setRuns(twoRuns());
    QVERIFY(page.findChild<QListView*>(u"recentRunsList"_s)->isVisible());
}

void HomePageTest::opensAndResumesTheChosenRun()
{
    RunListModel runs;
    runs.setRuns(twoRuns());
    HomePage page(&runs);
    auto* list = page.findChild<QListView*>(u"recentRunsList"_s);
    auto* resume = page.findChild<QPushButton*>(u"resumeSelectedRunButton"_s);
    QSignalSpy opened(&page, &HomePage::runChosen);
    QSignalSpy resumed(&page, &HomePage::resumeRequested);
    list->setCurrentIndex(runs.index(0));
    QVERIFY(resume->isHidden());
    page.findChild<QPushButton*>(u"openSelectedRunButton"_s)->click();
    QCOMPARE(opened.front()[0].toString(), u"/runs/done"_s);
    list->setCurrentIndex(runs.index(1));
    QVERIFY(!resume->isHidden());
    resume->click();
    QCOMPARE(resumed.front()[0].toString(), u"/runs/torn"_s);
}

BITSMITH_TEST(HomePageTest)
#include "home_page_test.moc"
