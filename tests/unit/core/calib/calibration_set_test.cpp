// SPDX-License-Identifier: GPL-3.0-or-later
// Calibration text against a whole model: no tokenizer, ids outside the vocabulary, too little text.
#include "calib/calibration_set.h"
#include "source/model_source.h"
#include "source/tiny_model.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"
#include "tensor/safetensors_writer.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::calib;

namespace {

struct Quiet : Observer
{
    void on_event(const Event&) override { }
};

struct Fixture
{
    Fixture()
    {
        spec.recipe.nsamples = 4;
        spec.recipe.seqlen = 16;
    }
    CalibrationSet build(const std::filesystem::path& dataset)
    {
        spec.calibration.dataset = dataset.string();
        const auto model = source::open_model(tiny.path());
        return build_calibration_set(context, spec, *model, {});
    }
    std::filesystem::path ids(const at::Tensor& values) const
    {
        tensor::publish_safetensors(disk(), texts / "ids.safetensors", {{"input_ids", values}}, {});
        return texts / "ids.safetensors";
    }

    TinyCheckpoint tiny;
    TempFolder texts;
    JobSpec spec;
    Quiet observer;
    EventEmitter emitter{observer};
    RunContext context{emitter, {}, "cpu", 42};
};

bool warns(const CalibrationSet& set, const std::string& words)
{
    return std::any_of(set.warnings.begin(), set.warnings.end(),
        [&](const std::string& text) { return text.find(words) != std::string::npos; });
}

} // namespace

class CalibrationSetTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void stopsWithoutAFastTokenizer();
    void takesTokensWithoutATokenizer();
    void refusesTokensOutsideTheVocabulary();
    void countsWhatWasFilteredOut();
    void packsTextsShorterThanAWindow();
    void cutsATextLargerThanTheTokenizersLimit();
    void saysHowManyDocumentsWereLeftOut();
    void takesPlainTextWhenTheTemplateFails_data();
    void takesPlainTextWhenTheTemplateFails();
    void warnsOfAFirstTokenThatTheTokenizerDoesNotAdd();
};

void CalibrationSetTest::stopsWithoutAFastTokenizer()
{
    Fixture f;
    std::filesystem::remove(f.tiny.temp / "tokenizer.json");
    f.tiny.temp.write("tokenizer.model", "sentencepiece");
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"tokenizer.json"}),
        f.build(f.texts.write("a.txt", "some text that nobody can tokenize")));
}

void CalibrationSetTest::takesTokensWithoutATokenizer()
{
    Fixture f;
    std::filesystem::remove(f.tiny.temp / "tokenizer.json");
    const at::Tensor values = at::arange(64, at::kLong).view({4, 16});
    QVERIFY(at::equal(f.build(f.ids(values)).ids, values));
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"input_ids", "16"}),
        f.build(f.ids(at::arange(32, at::kLong).view({4, 8}))));
}

void CalibrationSetTest::refusesTokensOutsideTheVocabulary()
{
    Fixture f;
    at::Tensor values = at::arange(64, at::kLong).view({4, 16});
    values[3][15] = source::kTinyVocabulary;
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"vocabulary", "found: 320", "0 to 319"}),
        f.build(f.ids(values)));
    values[3][15] = -1;
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"vocabulary"}), f.build(f.ids(values)));
}

void CalibrationSetTest::countsWhatWasFilteredOut()
{
    Fixture f;
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"1 documents, 5 tokens", "0 usable windows"}),
        f.build(f.texts.write("a.txt", "short")));
    f.spec.calibration.packing = Packing::Filtered;
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"3 documents too short"}),
        f.build(f.texts.write("a.jsonl", "\"one\"\n\"two\"\n\"three\"\n")));
}

void CalibrationSetTest::packsTextsShorterThanAWindow()
{
    Fixture f;
    std::string lines;
    for (int i = 0; i < 40; ++i) {
        lines += "\"number " + std::to_string(i) + "\"\n";
    }
    const CalibrationSet set = f.build(f.texts.write("a.jsonl", lines));
    QCOMPARE(set.ids.sizes().vec(), (std::vector<int64_t>{4, 16}));
    QVERIFY(set.ids.select(1, 0).eq(256).all().item<bool>()); // every window begins with BOS
}

void CalibrationSetTest::cutsATextLargerThanTheTokenizersLimit()
{
    Fixture f;
    std::string text(17U << 20U, ' ');
    for (std::size_t i = 0; i < text.size(); ++i) {
        text[i] = static_cast<char>('a' + i % 26);
    }
    QCOMPARE(f.build(f.texts.write("a.txt", text)).ids.size(0), int64_t{4});
}

void CalibrationSetTest::saysHowManyDocumentsWereLeftOut()
{
    Fixture f;
    f.spec.calibration.packing = Packing::Filtered;
    const CalibrationSet set = f.build(f.texts.write(
        "a.jsonl", "\"a text that is long enough\"\n\"short\"\n\"another that is long enough\"\n"));
    QCOMPARE(set.ids.size(0), int64_t{2});
    QVERIFY(warns(set, "1 of 3 documents are shorter than a window"));
}

void CalibrationSetTest::takesPlainTextWhenTheTemplateFails_data()
{
    QTest::addColumn<QByteArray>("source");
    QTest::newRow("refuses") << QByteArray("{{ raise_exception('roles must alternate') }}");
    QTest::newRow("forbidden") << QByteArray("{{ messages.__class__.__mro__[1]() }}");
    QTest::newRow("endless") << QByteArray(
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}");
}

void CalibrationSetTest::takesPlainTextWhenTheTemplateFails()
{
    QFETCH(QByteArray, source);
    Fixture f;
    const auto file = f.tiny.temp / "tokenizer_config.json";
    Json config = read_json_file(file);
    config["chat_template"] = source.toStdString();
    f.tiny.temp.write("tokenizer_config.json", config.dump());
    std::string lines;
    for (int i = 0; i < 10; ++i) {
        lines += R"({"messages":[{"role":"user","content":"question"},)"
                 R"({"role":"assistant","content":"an answer"}]})"
                 "\n";
    }
    const CalibrationSet set = f.build(f.texts.write("a.jsonl", lines));
    QCOMPARE(set.ids.size(0), int64_t{4});
    QCOMPARE(set.ids[0][1].item<int64_t>(), int64_t{'q'}); // after BOS
    QVERIFY(warns(set, "conversations are taken as plain text"));
}

void CalibrationSetTest::warnsOfAFirstTokenThatTheTokenizerDoesNotAdd()
{
    Fixture f;
    std::string words;
    for (int i = 0; i < 60; ++i) {
        words += "word " + std::to_string(i) + ' ';
    }
    const auto text = f.texts.write("a.txt", words);
    QVERIFY(!warns(f.build(text), "first token"));
    Json config = read_json_file(f.tiny.temp / "tokenizer_config.json");
    config["add_bos_token"] = false;
    config.erase("chat_template");
    f.tiny.temp.write("tokenizer_config.json", config.dump());
    Json tokenizer = read_json_file(f.tiny.temp / "tokenizer.json");
    tokenizer["post_processor"] = nullptr;
    f.tiny.temp.write("tokenizer.json", tokenizer.dump());
    QVERIFY(warns(f.build(text), "does not add it to a text by itself"));
}

BITSMITH_TEST(CalibrationSetTest)
#include "calibration_set_test.moc"
