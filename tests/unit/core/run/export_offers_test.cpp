// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/run_record.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "unit/core/run/rounded_run.h"

#include <bitsmith/catalog.h>
#include <bitsmith/export_offer.h>
#include <bitsmith/run_reader.h>

#include <QtTest>

#include <set>

using namespace bitsmith;

class ExportOffersTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void offersWhatCanBeExported();
    void saysWhyAFormatDoesNotFit();
    void namesASchemeForARunOfItsOwn();
    void changesOnlyWhatTheFormatRefuses();
    void refusesAnUnfinishedRun();
    void servesAFolderOrTheFileInIt();
    void hasATextForEveryProgram();
    void servesPartsOfAModelWithoutOllama();
    void knowsARuntimeOfEveryFormat();
    void writesOneDocument();

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

void ExportOffersTest::offersWhatCanBeExported()
{
    constexpr int64_t slack = 4 << 20; // side files and headers are estimated from above
    const auto folder = finish("W4A16G32");
    const std::vector<ExportOffer> offers = export_offers(folder);
    QCOMPARE(offers.size(), format_catalog().size());
    std::set<std::string> fitting;
    for (const ExportOffer& offer : offers) {
        QCOMPARE(offer.fits, offer.why_not.empty());
        if (!offer.fits) {
            continue;
        }
        fitting.insert(offer.format);
        NullObserver silent;
        const auto target = m_temp / ("export-" + offer.format);
        const ExportReport written = export_run(folder, offer.format, target, silent, {});
        QVERIFY2(written.bytes <= offer.bytes, offer.format.c_str());
        QVERIFY2(offer.bytes < written.bytes + slack, offer.format.c_str());
        QVERIFY(offer.bits_per_parameter > 4);
    }
    for (const char* format : {"auto_round", "gguf", "fake"}) {
        QVERIFY2(fitting.contains(format), format);
    }
    for (std::size_t i = 1; i < offers.size(); ++i) {
        const ExportOffer &before = offers[i - 1], &offer = offers[i];
        QVERIFY(before.fits || !offer.fits);
        QVERIFY(!offer.fits || before.bytes <= offer.bytes);
    }
}

void ExportOffersTest::saysWhyAFormatDoesNotFit()
{
    const std::string scheme = "W2A16G32_ASYM";
    const std::vector<ExportOffer> offers = export_offers(finish(scheme));
    const auto gguf = std::find_if(offers.begin(), offers.end(),
        [](const ExportOffer& offer) { return offer.format == "gguf"; });
    QVERIFY(gguf != offers.end());
    QVERIFY(!gguf->fits);
    QCOMPARE(gguf->why_not, format_refusal("gguf", parse_scheme(scheme)));
    QCOMPARE(gguf->bytes, int64_t{0});
    QVERIFY(offers.front().fits);
}

void ExportOffersTest::namesASchemeForARunOfItsOwn()
{
    const std::filesystem::path run = finish("W4A16G32_ASYM");
    const auto gguf_offer = [](const std::filesystem::path& folder) {
        const std::vector<ExportOffer> offers = export_offers(folder);
        return *std::find_if(offers.begin(), offers.end(),
            [](const ExportOffer& offer) { return offer.format == "gguf"; });
    };
    const ExportOffer offer = gguf_offer(run);
    QVERIFY(!offer.fits);
    QVERIFY2(offer.own_scheme.starts_with("gguf:"), offer.own_scheme.c_str());
    QCOMPARE(parse_scheme(offer.own_scheme).bits, int64_t{4});
    JobSpec own = own_run(read_run_spec(run), offer.format, offer.own_scheme);
    own.runtime.run_dir = (m_temp / "own").string();
    rounded_run::finish(own);
    QVERIFY(gguf_offer(m_temp / "own").fits);
    QCOMPARE(gguf_offer(m_temp / "own").own_scheme, std::string());
    QCOMPARE(read_run_report(m_temp / "own")->exports.size(), std::size_t(1));
}

void ExportOffersTest::changesOnlyWhatTheFormatRefuses()
{
    JobSpec run;
    run.scheme.scheme = "W4A16";
    run.scheme.group_size = 64;
    run.scheme.overrides = {{"*v_proj", "W8A16G32"}, {"*k_proj", "W3A16"}, {"*o_proj", "keep"}};
    run.scheme.keep = {"*down_proj"};
    run.recipe.iters = 33;
    run.exports.formats = {"auto_round", "mlx"};
    run.exports.output = "/somewhere";
    run.exports.max_gguf_gb = 7;
    run.runtime.run_dir = "/runs/a";
    JobSpec expected = run;
    expected.scheme.scheme = "gguf:q4_0";
    expected.scheme.group_size.reset();
    expected.scheme.overrides = {{"*v_proj", "W8A16G32"}, {"*o_proj", "keep"}};
    expected.exports.formats = {"gguf"};
    expected.exports.output.clear();
    expected.runtime.run_dir.clear();
    QVERIFY(own_run(run, "gguf", "gguf:q4_0") == expected);
    run.recipe.static_kv_dtype = CacheType::Fp8;
    QVERIFY(own_run(run, "gguf", "gguf:q4_0") == expected);
}

void ExportOffersTest::refusesAnUnfinishedRun()
{
    const auto folder = finish("W8A16G32");
    const auto last = folder / run_files::numbered(run_files::kBlocks, 1);
    QVERIFY(std::filesystem::remove(last));
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"not finished", "1 of 2 blocks", "Resume"}),
        export_offers(folder));
}

void ExportOffersTest::servesAFolderOrTheFileInIt()
{
    const TempFolder folder;
    const auto exported = folder / "it's mine";
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"it's mine"}), serve_command("gguf", exported));
    folder.write("it's mine/tiny-Q4_0.gguf", "GGUF");
    const std::string quoted = "'" + folder.path().string() + "/it'\\''s mine";
    QCOMPARE(serve_command("gguf", exported), "llama-server -m " + quoted + "/tiny-Q4_0.gguf'");
    QCOMPARE(serve_command("auto_round", exported), "vllm serve " + quoted + "'");
    QCOMPARE(serve_command("auto_round", "out/plain"), std::string("vllm serve out/plain"));
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({"gguff"}), serve_command("gguff", exported));
}

void ExportOffersTest::hasATextForEveryProgram()
{
    const TempFolder folder;
    folder.write("it's mine/tiny-Q4_0.gguf", "GGUF");
    const auto exported = folder / "it's mine";
    const std::vector<ServeText> of_gguf = serve_texts("gguf", exported);
    QCOMPARE(of_gguf.size(), std::size_t{2});
    QVERIFY(of_gguf[0]
        == (ServeText{"llama.cpp", ServeKind::Command, serve_command("gguf", exported)}));
    QCOMPARE(of_gguf[1].runtime, std::string("Ollama"));
    QVERIFY(of_gguf[1].kind == ServeKind::Modelfile);
    const std::string from = "\nFROM " + (exported / "tiny-Q4_0.gguf").string() + "\n";
    QVERIFY2(of_gguf[1].text.ends_with(from), of_gguf[1].text.c_str());
    const std::vector<ServeText> of_folder = serve_texts("auto_round", "out/a \"b\"");
    QCOMPARE(of_folder.size(), std::size_t{3});
    QCOMPARE(of_folder[0].text, std::string("vllm serve 'out/a \"b\"'"));
    QCOMPARE(of_folder[1].runtime, std::string("SGLang"));
    QVERIFY(of_folder[2].kind == ServeKind::Python);
    QVERIFY(of_folder[2].text.find("path = \"out/a \\\"b\\\"\"\n") != std::string::npos);
}

void ExportOffersTest::servesPartsOfAModelWithoutOllama()
{
    const TempFolder folder;
    folder.write("tiny-00001-of-00002.gguf", "GGUF");
    folder.write("tiny-00002-of-00002.gguf", "GGUF");
    const std::vector<ServeText> texts = serve_texts("gguf", folder.path());
    QCOMPARE(texts.size(), std::size_t{1});
    QVERIFY(texts[0].text.ends_with("tiny-00001-of-00002.gguf"));
}

void ExportOffersTest::knowsARuntimeOfEveryFormat()
{
    for (const FormatInfo& format : format_catalog()) {
        QVERIFY2(!format.runtimes.empty(), format.id.c_str());
        QVERIFY2(!format.serve.empty(), format.id.c_str());
    }
}

void ExportOffersTest::writesOneDocument()
{
    const ExportOffer offer{"gguf", "GGUF", true, "", 9, 4.5, {"llama.cpp"}};
    const Json json = parse_json(document(std::vector{offer}), "test");
    QCOMPARE(json.at("offers").size(), std::size_t{1});
    QCOMPARE(json["offers"][0],
        Json({{"format", "gguf"}, {"name", "GGUF"}, {"fits", true}, {"why_not", ""}, {"bytes", 9},
            {"bits_per_parameter", 4.5}, {"runtimes", Json::array({"llama.cpp"})},
            {"own_scheme", ""}}));
}

BITSMITH_TEST(ExportOffersTest)
#include "export_offers_test.moc"
