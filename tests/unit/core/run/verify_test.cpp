// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/marker.h"
#include "support/test_main.h"
#include "unit/core/run/rounded_run.h"

#include <QtTest>

#include <limits>

using namespace bitsmith;
namespace fs = std::filesystem;

/// Folders of any program (formats.md 11).
class VerifyTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void wantsAMarkerBesideExportsOfARunOnly();
    void checksModelsThatNoExporterWrites();
    void findsValuesThatAreNotFinite();
    void findsScalesThatAreNotFinite();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.up_proj";

/// The tiny model, rounded and exported to `temp`/out by the run `temp`/run.
fs::path exported(const rounded_run::Model& tiny, const TempFolder& temp)
{
    JobSpec spec = rounded_run::spec(tiny.path(), "W4A16G32", temp / "run");
    spec.exports.formats = {"auto_round"};
    spec.exports.output = (temp / "out").string();
    rounded_run::finish(spec);
    return temp / "out";
}

} // namespace

void VerifyTest::wantsAMarkerBesideExportsOfARunOnly()
{
    const rounded_run::Model tiny;
    const TempFolder temp;
    const fs::path out = exported(tiny, temp);
    QCOMPARE(verify_export(out, {}), std::vector<std::string>());
    QCOMPARE(verify_export(out, temp / "run"), std::vector<std::string>());
    fs::remove(out / exporting::kMarkerFile);
    QCOMPARE(verify_export(out, {}), std::vector<std::string>());
    const auto findings = verify_export(out, temp / "run");
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY2(findings[0].find(exporting::kMarkerFile) != std::string::npos, findings[0].c_str());
}

void VerifyTest::checksModelsThatNoExporterWrites()
{
    const TinyCheckpoint tiny;
    QCOMPARE(verify_export(tiny.path(), {}), std::vector<std::string>());
    tiny.edit_tensors([](auto& tensors) { TinyCheckpoint::erase(tensors, kLayer); });
    const auto findings = verify_export(tiny.path(), {});
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY2(findings[0].find(kLayer) != std::string::npos, findings[0].c_str());
}

void VerifyTest::findsValuesThatAreNotFinite()
{
    const TinyCheckpoint tiny;
    tiny.edit_tensors([](auto& tensors) {
        TinyCheckpoint::find(tensors, "model.norm.weight")[5] =
            std::numeric_limits<float>::quiet_NaN();
    });
    QCOMPARE(verify_export(tiny.path(), {}),
        std::vector<std::string>{"tensor model.norm.weight has 1 values that are NaN or infinite"});
}

// formats.md 3.5: a scale above 65504 becomes infinite in fp16.
void VerifyTest::findsScalesThatAreNotFinite()
{
    const rounded_run::Model tiny;
    const TempFolder temp;
    const fs::path out = exported(tiny, temp);
    fs::remove(out / exporting::kMarkerFile);
    TinyCheckpoint::edit_tensors(out, [](auto& tensors) {
        TinyCheckpoint::find(tensors, kLayer + ".scales")[0][3] =
            std::numeric_limits<float>::infinity();
    });
    const auto findings = verify_export(out, {});
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY2(findings[0].find(kLayer + ".weight") != std::string::npos, findings[0].c_str());
}

BITSMITH_TEST(VerifyTest)
#include "verify_test.moc"
