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
    CalibrationSet build(const std::filesystem::path& dataset, const Sampler& sampler = {})
    {
        spec.calibration.dataset = dataset.string();
        const auto model = source::open_model(tiny.path());
        return build_calibration_set(context, spec, *model, sampler);
    }
    /// Many windows of one letter and numbers.
    std::string text(const char* name, char letter) const
    {
        std::string content;
        for (int i = 0; i < 300; ++i) {
            content += std::string(1, letter) + std::to_string(i) + ' ';
        }
        return texts.write(name, content).string();
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

bool holds(const at::Tensor& row, char letter)
{
    return row.eq(int64_t{letter}).any().item<bool>();
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
    void mixesSourcesWithAHoldOutOfEach();
    void givesASingleSourceAsBefore();
    void takesTheModelsTextForWhatIsLeft();
    void saysWhatASourceLacks();
    void refusesMoreSamplesThanAreAsked();
    void putsTextsIntoTheChatTemplate();
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

void CalibrationSetTest::mixesSourcesWithAHoldOutOfEach()
{
    Fixture f;
    f.spec.recipe.nsamples = 24;
    const std::string dataset =
        f.text("a.txt", 'x') + ":num=6," + f.text("b.txt", 'y') + "," + f.text("c.txt", 'z');
    const CalibrationSet set = f.build(dataset);
    QCOMPARE(set.ids.sizes().vec(), (std::vector<int64_t>{24, 16}));
    QCOMPARE(set.sources.size(), std::size_t(3));
    QCOMPARE(set.holdout, int64_t{3}); // 6, 9 and 9 times 0.125, one of each
    const std::string letters = "xyz";
    for (int64_t source = 0; source < 3; ++source) {
        QCOMPARE(set.source.eq(source).sum().item<int64_t>(), int64_t{source == 0 ? 6 : 9});
        QCOMPARE(set.source.slice(0, 21).eq(source).sum().item<int64_t>(), int64_t{1});
        // The first quarter of what is tuned on holds all of them.
        QVERIFY(set.source.slice(0, 0, 5).eq(source).any().item<bool>());
    }
    for (int64_t i = 0; i < 24; ++i) {
        const auto source = static_cast<std::size_t>(set.source[i].item<int64_t>());
        for (std::size_t other = 0; other < 3; ++other) {
            QCOMPARE(holds(set.ids[i], letters[other]), other == source);
        }
    }
    Fixture again;
    again.spec = f.spec;
    const auto model = source::open_model(f.tiny.path());
    QVERIFY(at::equal(build_calibration_set(again.context, f.spec, *model, {}).ids, set.ids));
}

void CalibrationSetTest::givesASingleSourceAsBefore()
{
    Fixture f;
    f.spec.recipe.nsamples = 16;
    const at::Tensor values = at::arange(16 * 16, at::kLong).view({16, 16});
    const CalibrationSet set = f.build(f.ids(values));
    QVERIFY(at::equal(set.ids, values));
    QCOMPARE(set.holdout, int64_t{2});
    QCOMPARE(set.origin, (f.texts / "ids.safetensors").string());
    QVERIFY(set.warnings.empty());
}

void CalibrationSetTest::takesTheModelsTextForWhatIsLeft()
{
    Fixture f;
    f.spec.recipe.nsamples = 12;
    int64_t answered = 0;
    const Sampler sampler = [&](const auto& prompts, int64_t max_tokens) {
        std::vector<std::vector<int32_t>> answers;
        for (std::size_t i = 0; i < prompts.size(); ++i) {
            std::vector<int32_t> answer;
            for (int64_t t = 0; t < max_tokens; ++t) {
                answer.push_back(static_cast<int32_t>(300 + (answered + t) % 7));
            }
            ++answered;
            answers.push_back(answer);
        }
        return answers;
    };
    const CalibrationSet set = f.build("self," + f.text("a.txt", 'x') + ":num=4", sampler);
    QCOMPARE(set.ids.size(0), int64_t{12});
    QCOMPARE(set.source.eq(0).sum().item<int64_t>(), int64_t{8});
    QVERIFY2(set.origin.find("answers of the model (8)") != std::string::npos, set.origin.c_str());
    QCOMPARE(set.sources, (std::vector<std::string>{"self", (f.texts / "a.txt").string()}));
    // Nothing is left for it: the model is not asked.
    answered = 0;
    f.build("self," + f.text("a.txt", 'x') + ":num=12", sampler);
    QCOMPARE(answered, int64_t{0});
}

void CalibrationSetTest::saysWhatASourceLacks()
{
    Fixture f;
    f.spec.recipe.nsamples = 8;
    const std::string little = f.texts.write("little.txt", "some twenty letters").string();
    const CalibrationSet set = f.build(little + ":num=4," + f.text("a.txt", 'x'));
    QCOMPARE(set.source.eq(0).sum().item<int64_t>(), int64_t{1});
    QCOMPARE(set.ids.size(0), int64_t{8}); // the other source gives the rest
    QVERIFY(warns(set, little + " gives 1 samples"));
    const CalibrationSet none =
        f.build(f.texts.write("short.txt", "short").string() + "," + f.text("a.txt", 'x'));
    QVERIFY(warns(none, "short.txt gives 0 samples: 1 documents, 5 tokens"));
}

void CalibrationSetTest::refusesMoreSamplesThanAreAsked()
{
    Fixture f;
    EXPECT_ERROR(InvalidSpec,
        EXPECT_WORDS({"calibration.dataset", "found: 5 by num=", "4 or fewer", "--nsamples"}),
        f.build(f.text("a.txt", 'x') + ":num=3," + f.text("b.txt", 'y') + ":num=2"));
    const CalibrationSet set =
        f.build(f.text("a.txt", 'x') + ":num=1," + f.text("b.txt", 'y') + ":num=2");
    QCOMPARE(set.asked, int64_t{3});
    QVERIFY(!warns(set, "samples asked"));
}

void CalibrationSetTest::putsTextsIntoTheChatTemplate()
{
    Fixture f;
    const auto file = f.tiny.temp / "tokenizer_config.json";
    Json config = read_json_file(file);
    config["chat_template"] =
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}#{% endif %}";
    f.tiny.temp.write("tokenizer_config.json", config.dump());
    f.spec.recipe.nsamples = 1;
    f.spec.calibration.packing = Packing::Filtered;
    const std::string path = f.texts.write("a.jsonl", "\"0123456789012345\"").string();
    const auto text_of = [](const CalibrationSet& set) {
        std::string text;
        for (int64_t i = 1; i < set.ids.size(1); ++i) { // after BOS
            text += static_cast<char>(set.ids[0][i].item<int64_t>());
        }
        return text;
    };
    QCOMPARE(text_of(f.build(path)), std::string("012345678901234"));
    QCOMPARE(text_of(f.build(path + ":apply_chat_template")), std::string("<user>012345678"));
    QCOMPARE(text_of(f.build(path + ":system_prompt=No.")), std::string("<system>No.<use"));
    config.erase("chat_template");
    f.tiny.temp.write("tokenizer_config.json", config.dump());
    QVERIFY(warns(f.build(path + ":apply_chat_template"), "no chat template"));
}

BITSMITH_TEST(CalibrationSetTest)
#include "calibration_set_test.moc"
