// SPDX-License-Identifier: GPL-3.0-or-later
// What exports say of the programs that load them. That the programs agree: tests/interop/served.py.
#include "base/file_ops.h"
#include "base/text.h"
#include "export/marker.h"
#include "export/runtime_limits.h"
#include "support/encoded_plan.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <bitsmith/check.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;

class RuntimeLimitsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void namesTheProgramsThatLoadAnExport_data();
    void namesTheProgramsThatLoadAnExport();
    void saysSoInTheExport();
};

void RuntimeLimitsTest::namesTheProgramsThatLoadAnExport_data()
{
    QTest::addColumn<std::string>("format");
    QTest::addColumn<std::string>("scheme");
    QTest::addColumn<std::string>("programs");
    const auto row = [](const char* format, const char* scheme, const char* programs) {
        QTest::addRow("%s %s", format, scheme)
            << std::string(format) << std::string(scheme) << std::string(programs);
    };
    row("auto_gptq", "W4A16G32", "vLLM, SGLang, GPTQModel, transformers");
    row("auto_gptq", "W3A16G32", "GPTQModel, transformers");
    row("auto_gptq", "W4A16G32_ASYM", "GPTQModel, transformers");
    row("auto_awq", "W4A16G32_ASYM", "vLLM, SGLang, GPTQModel, transformers");
    row("auto_round", "W8A16G32", "transformers, vLLM, SGLang");
    row("auto_round", "W4A16G32_ASYM", "transformers, vLLM, SGLang");
    row("auto_round", "W2A16G32", "transformers");
    row("auto_round", "W8A16G32_ASYM", "transformers");
    row("auto_round", "MXFP4_RCEIL", "transformers, vLLM");
    row("auto_round", "MXFP8_RCEIL", "transformers");
    row("auto_round", "NVFP4", "transformers");
    row("auto_round", "NVFP4_E5M3", "transformers");
    row("auto_round", "MXINT4", "transformers");
    row("auto_round", "FP8_STATIC", "transformers");
    row("auto_round", "FP8_BLOCK", "vLLM");
    row("llm_compressor", "W4A16G32_ASYM", "vLLM, SGLang, transformers");
    row("llm_compressor", "W8A16G32_ASYM", "SGLang, transformers");
    row("llm_compressor", "W8A16G64_ASYM", "vLLM, SGLang, transformers");
    row("llm_compressor", "W2A16G32", "transformers");
    row("llm_compressor", "W8A8", "vLLM, SGLang, transformers");
    row("llm_compressor", "W4A4", "transformers");
    row("llm_compressor", "MXFP8", "vLLM, transformers");
    row("llm_compressor", "NVFP4", "vLLM, SGLang, transformers");
    row("llm_compressor", "FPW8A16", "vLLM, SGLang, transformers");
    row("gguf", "gguf:q4_0", "llama.cpp, Ollama, LM Studio");
}

void RuntimeLimitsTest::namesTheProgramsThatLoadAnExport()
{
    QFETCH(std::string, format);
    QFETCH(std::string, scheme);
    QFETCH(std::string, programs);
    const test::ExportModel model(test::llama_config());
    JobSpec spec;
    spec.scheme.scheme = scheme;
    const Plan plan = build_plan(spec, model.model.info);
    QCOMPARE(join(loading_runtimes(exporter_for(format), plan), ", "), programs);
}

// In its notes, its marker, and by how its card says to load it.
void RuntimeLimitsTest::saysSoInTheExport()
{
    const auto export_of = [](const Scheme& scheme, const TempFolder& folder) {
        test::ExportModel model(test::llama_config());
        test::plan_encoded(model, scheme);
        const Exporter& exporter = exporter_for("auto_gptq");
        NullObserver silent;
        EventEmitter events(silent);
        RunContext context{events, {}};
        exporter.write(context, disk(), model.input(), folder.path());
        folder.write(kMarkerFile, build_marker(exporter, model.input(), folder.path()));
        return join(export_notes(exporter, model.input()), "\n");
    };
    const TempFolder served, other;
    QVERIFY(marked_runtimes(served.path()) == std::nullopt);
    const std::string harmless = export_of(parse_scheme("W4A16G32"), served);
    QVERIFY2(harmless.find("does not load") == std::string::npos, harmless.c_str());
    QVERIFY(read_text_file(served / "README.md").find("vllm serve") != std::string::npos);
    const std::string notes = export_of(parse_scheme("W3A16G32"), other);
    for (const char* words : {"vLLM does not load this", "SGLang does not load this", "4 and 8"}) {
        QVERIFY2(notes.find(words) != std::string::npos, notes.c_str());
    }
    const std::string card = read_text_file(other / "README.md");
    QVERIFY(card.find("vLLM does not load this") != std::string::npos);
    QVERIFY(card.find("vllm serve") == std::string::npos);
    QVERIFY(
        marked_runtimes(other.path()) == std::vector<std::string>({"GPTQModel", "transformers"}));
}

BITSMITH_TEST(RuntimeLimitsTest)
#include "runtime_limits_test.moc"
