// SPDX-License-Identifier: GPL-3.0-or-later
// Names, and the cache without a network. Nothing here reaches out: the endpoint is a closed port.
#include "hf/hub.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::hf;

class HubTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void parsesNames();
    void refusesOtherNames_data();
    void refusesOtherNames();
    void saysThatModelScopeIsNotThere();
    void findsASnapshotOffline();
    void saysWhatIsMissingOffline();
    void saysThatTheHubCannotBeReached();

private:
    QTemporaryDir m_home;
};

void HubTest::init()
{
    qputenv("HF_HOME", m_home.path().toUtf8());
    qunsetenv("HF_HUB_CACHE");
    qunsetenv("HF_HUB_OFFLINE");
    qputenv("HF_ENDPOINT", "http://127.0.0.1:1");
}

void HubTest::cleanup()
{
    qunsetenv("HF_HOME");
    qunsetenv("HF_ENDPOINT");
    qunsetenv("HF_HUB_OFFLINE");
}

void HubTest::parsesNames()
{
    const auto plain = parse_hub_name("Qwen/Qwen3-0.6B");
    QVERIFY(plain);
    QCOMPARE(plain->repository, std::string("Qwen/Qwen3-0.6B"));
    QCOMPARE(plain->revision, std::string("main"));
    QVERIFY(!plain->patterns.empty());
    const auto pinned = parse_hub_name("a/b@refs/pr/7");
    QVERIFY(pinned);
    QCOMPARE(pinned->revision, std::string("refs/pr/7"));
}

void HubTest::refusesOtherNames_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"", "a", "a/b/c", "/a/b", "../b", "a/..", "a/b@", "a/b@../c", "a b/c",
             "./a", "a\\b", "a/b@x/../y", "C:/model"}) {
        QTest::addRow("'%s'", name) << name;
    }
}

void HubTest::refusesOtherNames()
{
    QFETCH(QString, name);
    QVERIFY(!parse_hub_name(name.toStdString()));
}

void HubTest::saysThatModelScopeIsNotThere()
{
    QVERIFY_THROWS_EXCEPTION(Error, parse_hub_name("modelscope:a/b"));
}

void HubTest::findsASnapshotOffline()
{
    const QString repository = m_home.filePath("hub/models--a--b");
    QVERIFY(QDir().mkpath(repository + "/snapshots/0123"));
    QVERIFY(QDir().mkpath(repository + "/refs"));
    QFile ref(repository + "/refs/main");
    QVERIFY(ref.open(QIODevice::WriteOnly));
    ref.write("0123");
    ref.close();
    qputenv("HF_HUB_OFFLINE", "1");
    const auto folder = fetch_snapshot(*parse_hub_name("a/b"));
    QCOMPARE(folder.filename().string(), std::string("0123"));
}

void HubTest::saysWhatIsMissingOffline()
{
    qputenv("HF_HUB_OFFLINE", "1");
    try {
        fetch_snapshot(*parse_hub_name("a/absent"));
        QFAIL("no error");
    } catch (const Error& error) {
        QVERIFY(QString::fromUtf8(error.what()).contains("offline"));
    }
}

void HubTest::saysThatTheHubCannotBeReached()
{
    try {
        fetch_snapshot(*parse_hub_name("a/c"));
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
        QVERIFY(QString::fromUtf8(error.what()).contains("no_network"));
    }
}

BITSMITH_TEST(HubTest)

#include "hub_test.moc"
