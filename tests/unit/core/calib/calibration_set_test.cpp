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

BITSMITH_TEST(CalibrationSetTest)
#include "calibration_set_test.moc"
