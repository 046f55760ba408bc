// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "widgets/state/job_draft.h"

#include <QSignalSpy>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;

namespace {

std::vector<Issue> noIssues(const JobSpec&, const ModelInfo*)
{
    return {};
}

void choose(JobDraft& draft, const std::string& path)
{
    draft.edit([&path](JobSpec& spec) { spec.model.path = path; });
}

} // namespace

class JobDraftTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void saysNothingWhenNothingDiffers();
    void asksForTheModelWhenItsPathChanges();
    void dropsAnAnswerForAnOlderPath();
    void startsOnlyWithAKnownModelAndWithoutErrors();
    void checksAMomentAfterAChange();
    void keepsTheErrorOfAModelThatCannotBeRead();
};

void JobDraftTest::saysNothingWhenNothingDiffers()
{
    JobDraft draft(nullptr, noIssues);
    const QSignalSpy changed(&draft, &JobDraft::specChanged);
    draft.edit([](JobSpec&) {});
    QCOMPARE(changed.size(), 0);
    draft.edit([](JobSpec& spec) { spec.recipe.iters = 7; });
    QCOMPARE(changed.size(), 1);
}

void JobDraftTest::asksForTheModelWhenItsPathChanges()
{
    JobDraft draft(nullptr, noIssues);
    const QSignalSpy asked(&draft, &JobDraft::modelPathChanged);
    draft.edit([](JobSpec& spec) { spec.recipe.iters = 7; });
    QCOMPARE(asked.size(), 0);
    choose(draft, "/models/a");
    QCOMPARE(asked.size(), 1);
    QCOMPARE(draft.modelStatus(), JobDraft::ModelStatus::Reading);
}

void JobDraftTest::dropsAnAnswerForAnOlderPath()
{
    JobDraft draft(nullptr, noIssues);
    choose(draft, "/models/a");
    choose(draft, "/models/b");
    draft.setModel(QStringLiteral("/models/a"), std::make_shared<ModelInfo>());
    QCOMPARE(draft.modelStatus(), JobDraft::ModelStatus::Reading);
    draft.setModel(QStringLiteral("/models/b"), std::make_shared<ModelInfo>());
    QCOMPARE(draft.modelStatus(), JobDraft::ModelStatus::Known);
}

void JobDraftTest::startsOnlyWithAKnownModelAndWithoutErrors()
{
    std::vector<Issue> issues;
    JobDraft draft(nullptr, [&issues](const JobSpec&, const ModelInfo*) { return issues; });
    QVERIFY(!draft.canStart());
    choose(draft, "/models/a");
    draft.setModel(QStringLiteral("/models/a"), std::make_shared<ModelInfo>());
    QVERIFY(draft.canStart());
    issues = {{Severity::Warning, "V07", "recipe.name", "two bits", {}}};
    draft.checkNow();
    QVERIFY(draft.canStart());
    issues.push_back({Severity::Error, "V02", "exports.formats", "cannot hold it", {}});
    draft.checkNow();
    QVERIFY(!draft.canStart());
    QCOMPARE(draft.issuesOf("recipe.name").size(), std::size_t(1));
}

void JobDraftTest::checksAMomentAfterAChange()
{
    int calls = 0;
    JobDraft draft(nullptr, [&calls](const JobSpec&, const ModelInfo*) {
        ++calls;
        return std::vector<Issue>();
    });
    QSignalSpy checked(&draft, &JobDraft::issuesChanged);
    for (int i = 0; i < 20; ++i) {
        draft.edit([i](JobSpec& spec) { spec.recipe.iters = i; });
    }
    QVERIFY(checked.wait());
    QCOMPARE(calls, 1);
}

void JobDraftTest::keepsTheErrorOfAModelThatCannotBeRead()
{
    JobDraft draft(nullptr, noIssues);
    choose(draft, "/models/a");
    draft.setModelError(QStringLiteral("/models/a"), QStringLiteral("config.json is damaged"));
    QCOMPARE(draft.modelStatus(), JobDraft::ModelStatus::Failed);
    QCOMPARE(draft.modelError(), QStringLiteral("config.json is damaged"));
    QVERIFY(!draft.canStart());
}

BITSMITH_TEST(JobDraftTest)
#include "job_draft_test.moc"
