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
    void findsBytesThatAreNoScales_data();
    void findsBytesThatAreNoScales();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.up_proj";

/// The tiny model, rounded and exported to `temp`/out by the run `temp`/run.
fs::path exported(const rounded_run::Model& tiny, const TempFolder& temp,
    const std::string& scheme = "W4A16G32", const std::string& format = "auto_round")
{
    JobSpec spec = rounded_run::spec(tiny.path(), scheme, temp / "run");
    spec.exports.formats = {format};
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

void VerifyTest::findsBytesThatAreNoScales_data()
{
    QTest::addColumn<std::string>("scheme");
    QTest::addColumn<std::string>("format");
    QTest::addColumn<std::string>("part");
    const auto row = [](const char* scheme, const char* format, const char* part) {
        QTest::addRow("%s %s %s", scheme, format, part)
            << std::string(scheme) << std::string(format) << std::string(part);
    };
    row("MXFP4", "llm_compressor", ".weight_scale");
    row("MXFP4A16", "mlx", ".scales");
    row("NVFP4A16", "llm_compressor", ".weight_scale");
    row("NVFP4A16", "llm_compressor", ".weight_global_scale");
    row("NVFP4_E5M3", "auto_round", ".weight_scale");
}

// Not all of them make values that are not finite: what is divided by infinity is 0.
void VerifyTest::findsBytesThatAreNoScales()
{
    QFETCH(std::string, scheme);
    QFETCH(std::string, format);
    QFETCH(std::string, part);
    const rounded_run::Model tiny;
    const TempFolder temp;
    const fs::path out = exported(tiny, temp, scheme, format);
    fs::remove(out / exporting::kMarkerFile);
    QCOMPARE(verify_export(out, {}), std::vector<std::string>());
    TinyCheckpoint::edit_tensors(out, [&](auto& tensors) {
        at::Tensor& scales = TinyCheckpoint::find(tensors, kLayer + part);
        if (c10::elementSize(scales.scalar_type()) == 1) {
            const bool is_e4m3 = scales.scalar_type() == at::kFloat8_e4m3fn;
            scales.view(at::kByte).view(-1)[0] = is_e4m3 ? 0x7F : 0xFF;
        } else {
            scales.fill_(std::numeric_limits<float>::infinity());
        }
    });
    const auto findings = verify_export(out, {});
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY2(findings[0].find(kLayer) != std::string::npos, findings[0].c_str());
}

BITSMITH_TEST(VerifyTest)
#include "verify_test.moc"
