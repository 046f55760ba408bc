// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/text_side.h"
#include "model/causal_lm.h"
#include "source/model_source.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::source;

namespace {

bool warns(const ModelInfo& info, const std::string& words)
{
    return std::any_of(info.warnings.begin(), info.warnings.end(),
        [&](const std::string& text) { return text.find(words) != std::string::npos; });
}

} // namespace

class OpenModelTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void describesTheTinyModel();
    void listsEveryLinearLayer();
    void loadsATokenizerThatRoundTrips();
    void runsTheTinyModel();
    void writesTheSameTinyModelTwice();
    void writesLargerTinyModels();
    void refusesATinyModelOfImpossibleSizes();
    void refusesABadConfig_data();
    void refusesABadConfig();
    void refusesModelsThatNeedTheirOwnCode();
    void refusesHeadsThatDoNotWriteText();
    void refusesCodesWithoutTheirDescription();
    void refusesOtherQuantizationMethods_data();
    void refusesOtherQuantizationMethods();
    void findsQuantizationDescribedElsewhere();
    void refusesFewerBlocksThanTheConfigSays();
    void refusesMoreBlocksThanTheConfigSays();
    void keepsAnnouncedPredictionLayers();
    void refusesAMissingTensor();
    void printsBothShapesOfAMismatch();
    void printsTheHeadsThatContradictATensor();
    void followsTheStoredElementType();
    void usesTheStoredHeadWhenItDiffers();
    void dropsAStoredCopyOfTheTiedHead();
    void tiesAHeadThatIsNotStored();
    void takesATiedHeadForTheEmbedding();
    void findsTheDecoderInsideAMultimodalModel();
    void saysThatThereIsNoSuchModel();
};

void OpenModelTest::describesTheTinyModel()
{
    const TinyCheckpoint tiny;
    const ModelInfo info = inspect_model(tiny.path());
    QCOMPARE(info.path, tiny.path());
    QCOMPARE(info.kind, std::string("folder"));
    QCOMPARE(info.family, std::string("llama"));
    QCOMPARE(info.architecture, std::string("LlamaForCausalLM"));
    QCOMPARE(info.blocks, int64_t{2});
    QCOMPARE(info.hidden_size, int64_t{64});
    QCOMPARE(info.vocab_size, kTinyVocabulary);
    QCOMPARE(info.max_length, int64_t{512});
    QCOMPARE(info.tied_head, false);
    QCOMPARE(info.tokenizer, std::string("BPE"));
    QVERIFY(info.has_chat_template);
    QVERIFY(info.quantization.empty());
    QCOMPARE(info.warnings, std::vector<std::string>());
    // 2 (embedding, head) x 320 x 64, per block 128 + 2 x 64 rows of 64, 64 x 128, 3 x 64 x 128, 2 x 64.
    const int64_t block = 256 * 64 + 64 * 128 + 3 * 64 * 128 + 2 * 64;
    QCOMPARE(info.parameters, 2 * kTinyVocabulary * 64 + 2 * block + 64);
    QCOMPARE(info.bytes, 2 * info.parameters);
    QCOMPARE(info.fingerprint.size(), std::size_t{64});
}

void OpenModelTest::listsEveryLinearLayer()
{
    const TinyCheckpoint tiny;
    const ModelInfo info = inspect_model(tiny.path());
    QCOMPARE(info.layers.size(), std::size_t{15});
    const LayerInfo& q = info.layers.front();
    QCOMPARE(q.name, std::string("model.layers.0.self_attn.q_proj"));
    QCOMPARE(q.rows, int64_t{128});
    QCOMPARE(q.columns, int64_t{64});
    QCOMPARE(q.dtype, std::string("BF16"));
    QCOMPARE(q.bytes, int64_t{128 * 64 * 2});
    QVERIFY(q.quantizable);
    const LayerInfo& head = info.layers.back();
    QCOMPARE(head.name, std::string("lm_head"));
    QCOMPARE(head.block_index, int64_t{-1});
    QVERIFY(!head.quantizable);
    for (const LayerInfo& layer : info.layers) {
        QCOMPARE(layer.rows % 64 + layer.columns % 64, int64_t{0});
    }
}

void OpenModelTest::loadsATokenizerThatRoundTrips()
{
    const TinyCheckpoint tiny;
    const hf::TextSide text = open_model(tiny.path())->load_text();
    const std::string words = "Grüße, 世界!\n\ttwo  blanks \x7f";
    const std::vector<int32_t> ids = text.tokenizer.encode(words, false);
    QCOMPARE(ids.size(), words.size());
    QCOMPARE(text.tokenizer.decode(ids, true), words);
    QCOMPARE(text.bos.value_or(-1), int32_t{256});
    QCOMPARE(text.tokenizer.encode("a", true), (std::vector<int32_t>{256, 'a'}));
    QVERIFY(text.chat_template.has_value());
    QVERIFY(std::find(text.eos_ids.begin(), text.eos_ids.end(), 259) != text.eos_ids.end());
}

void OpenModelTest::runsTheTinyModel()
{
    const TinyCheckpoint tiny;
    const auto source = open_model(tiny.path());
    const model::CausalLm lm(source->spec, source->tensors, at::kFloat);
    at::Tensor hidden = lm.embed(at::arange(16, at::kLong).view({1, 16}));
    const model::BlockShared shared = lm.shared(16);
    for (int64_t i = 0; i < lm.n_blocks(); ++i) {
        hidden = lm.load_block(i)->forward(hidden, shared);
    }
    const at::Tensor logits = lm.logits(hidden);
    QCOMPARE(logits.sizes().vec(), (std::vector<int64_t>{1, 16, kTinyVocabulary}));
    QVERIFY(logits.isfinite().all().item<bool>());
    // Neither a constant nor a certainty: what a test of quality needs.
    const double deviation = logits.std().item<double>();
    QVERIFY2(deviation > 1 && deviation < 10, std::to_string(deviation).c_str());
}

void OpenModelTest::writesTheSameTinyModelTwice()
{
    const TinyCheckpoint a, b;
    for (const char* name : {"model.safetensors", "tokenizer.json", "config.json"}) {
        QCOMPARE(sha256_file(a.temp / name), sha256_file(b.temp / name));
    }
    TinyModelShape other;
    other.seed = 7;
    const TinyCheckpoint c(other);
    QVERIFY(sha256_file(c.temp / "model.safetensors") != sha256_file(a.temp / "model.safetensors"));
}

void OpenModelTest::writesLargerTinyModels()
{
    TinyModelShape shape;
    shape.blocks = 5;
    shape.hidden = 128;
    shape.is_tied = true;
    const TinyCheckpoint tiny(shape);
    const ModelInfo info = inspect_model(tiny.path());
    QCOMPARE(info.blocks, int64_t{5});
    QCOMPARE(info.hidden_size, int64_t{128});
    QVERIFY(info.tied_head);
    QCOMPARE(info.layers.size(), std::size_t{35});
    QCOMPARE(info.warnings, std::vector<std::string>());
}

void OpenModelTest::refusesATinyModelOfImpossibleSizes()
{
    const TempFolder temp;
    TinyModelShape shape;
    shape.kv_heads = 3;
    EXPECT_ERROR(
        InvalidSpec, EXPECT_WORDS({"kv_heads: 3"}), write_tiny_model(disk(), temp.path(), shape));
}

void OpenModelTest::refusesABadConfig_data()
{
    QTest::addColumn<QString>("field");
    QTest::addColumn<QByteArray>("value");
    QTest::addColumn<QString>("code");
    const auto row = [](const char* field, const char* value, const char* code) {
        QTest::newRow(
            qPrintable(QStringLiteral("%1 = %2").arg(QLatin1String(field), QLatin1String(value))))
            << field << QByteArray(value) << code;
    };
    row("model_type", "\"lama\"", "unsupported_model");
    row("model_type", "\"resnet\"", "unsupported_model");
    row("model_type", "17", "invalid_spec");
    for (const char* field : {"hidden_size", "num_attention_heads", "vocab_size",
             "num_hidden_layers", "intermediate_size", "num_key_value_heads"}) {
        for (const char* value : {"0", "-1", "2.5", "\"64\"", "4611686018427387904", "[1]"}) {
            row(field, value, "invalid_spec");
        }
    }
    row("num_key_value_heads", "3", "invalid_spec");
    row("rms_norm_eps", "-1", "invalid_spec");
    row("rope_theta", "\"big\"", "invalid_spec");
    row("rope_scaling", R"({"rope_type": "spiral", "factor": 2.0})", "unsupported_model");
    row("hidden_act", "\"tangent\"", "unsupported_model");
    row("num_attention_heads", "8", "shape_mismatch");
    row("hidden_size", "128", "shape_mismatch");
    row("head_dim", "64", "shape_mismatch");
    row("vocab_size", "1000", "shape_mismatch");
}

void OpenModelTest::refusesABadConfig()
{
    QFETCH(QString, field);
    QFETCH(QByteArray, value);
    QFETCH(QString, code);
    const TinyCheckpoint tiny;
    tiny.edit_config(
        [&](Json& config) { config[field.toStdString()] = Json::parse(value.toStdString()); });
    try {
        inspect_model(tiny.path());
        QFAIL("nothing was thrown");
    } catch (const Error& error) {
        QCOMPARE(std::string(to_string(error.code())), code.toStdString());
        const bool names_field =
            std::string(error.what()).find(field.toStdString()) != std::string::npos;
        QVERIFY2(names_field || error.code() == ErrorCode::ShapeMismatch
                || error.code() == ErrorCode::UnsupportedModel,
            error.what());
    }
}

void OpenModelTest::refusesModelsThatNeedTheirOwnCode()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) {
        config["model_type"] = "my_llama";
        config["auto_map"] = {{"AutoModelForCausalLM", "modeling.My"}};
    });
    EXPECT_ERROR(
        UnsupportedModel, EXPECT_WORDS({"auto_map", "never executed"}), inspect_model(tiny.path()));
}

void OpenModelTest::refusesHeadsThatDoNotWriteText()
{
    const TinyCheckpoint tiny;
    tiny.edit_config(
        [](Json& config) { config["architectures"] = {"LlamaForSequenceClassification"}; });
    EXPECT_ERROR(UnsupportedModel,
        EXPECT_WORDS({"architectures", "LlamaForSequenceClassification", "ForCausalLM"}),
        inspect_model(tiny.path()));
}

void OpenModelTest::refusesCodesWithoutTheirDescription()
{
    const std::string name = "model.layers.1.mlp.up_proj.weight";
    const TinyCheckpoint integers;
    integers.edit_tensors([&](TinyCheckpoint::Tensors& tensors) {
        at::Tensor& weight = TinyCheckpoint::find(tensors, name);
        weight = at::zeros(weight.sizes(), at::kChar);
    });
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({name, "I8", "quantization_config"}),
        inspect_model(integers.path()));

    const TinyCheckpoint floats;
    floats.edit_tensors([&](TinyCheckpoint::Tensors& tensors) {
        at::Tensor& weight = TinyCheckpoint::find(tensors, name);
        weight = weight.to(at::kFloat8_e4m3fn);
    });
    QCOMPARE(inspect_model(floats.path()).blocks, int64_t{2}); // plain numbers of eight bits
    floats.edit_tensors([&](TinyCheckpoint::Tensors& tensors) {
        tensors.emplace_back(name + "_scale_inv", at::ones({1, 1}));
    });
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({name, "F8_E4M3", "without scales"}),
        inspect_model(floats.path()));
}

void OpenModelTest::refusesOtherQuantizationMethods_data()
{
    QTest::addColumn<QByteArray>("description");
    QTest::addColumn<QString>("word");
    QTest::newRow("bitsandbytes") << QByteArray(R"({"quant_method":"bitsandbytes"})")
                                  << "bitsandbytes";
    QTest::newRow("hqq") << QByteArray(R"({"quant_method":"hqq"})") << "hqq";
    QTest::newRow("without a name") << QByteArray(R"({"bits":4})") << "unnamed";
    QTest::newRow("not an object") << QByteArray("4") << "unnamed";
}

void OpenModelTest::refusesOtherQuantizationMethods()
{
    QFETCH(QByteArray, description);
    QFETCH(QString, word);
    const TinyCheckpoint tiny;
    tiny.edit_config([&](Json& config) {
        config["quantization_config"] = Json::parse(description.toStdString());
    });
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"already quantized", word.toStdString()}),
        inspect_model(tiny.path()));
}

void OpenModelTest::refusesFewerBlocksThanTheConfigSays()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["num_hidden_layers"] = 3; });
    EXPECT_ERROR(MissingTensor,
        EXPECT_WORDS({"fewer blocks", "config.json: 3", "stored blocks: 2"}),
        inspect_model(tiny.path()));
}

void OpenModelTest::refusesMoreBlocksThanTheConfigSays()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["num_hidden_layers"] = 1; });
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"more blocks", "config.json: 1", "stored blocks: 2"}),
        inspect_model(tiny.path()));
}

void OpenModelTest::keepsAnnouncedPredictionLayers()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) {
        config["num_hidden_layers"] = 1;
        config["num_nextn_predict_layers"] = 1;
    });
    const auto model = open_model(tiny.path());
    QCOMPARE(model->info.blocks, int64_t{1});
    QVERIFY(model->tensors->find("model.layers.1.mlp.up_proj.weight") != nullptr);
}

void OpenModelTest::refusesAMissingTensor()
{
    const TinyCheckpoint tiny;
    tiny.edit_tensors(
        [](auto& tensors) { TinyCheckpoint::erase(tensors, "model.layers.1.mlp.up_proj"); });
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"model.layers.1.mlp.up_proj.weight"}),
        inspect_model(tiny.path()));
}

void OpenModelTest::printsBothShapesOfAMismatch()
{
    const TinyCheckpoint tiny;
    tiny.edit_tensors([](auto& tensors) {
        TinyCheckpoint::find(tensors, "model.layers.1.mlp.up_proj.weight") =
            at::zeros({96, 64}, at::kBFloat16);
    });
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"model.layers.1.mlp.up_proj.weight", "96", "128"}),
        inspect_model(tiny.path()));
}

void OpenModelTest::printsTheHeadsThatContradictATensor()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["head_dim"] = 64; });
    EXPECT_ERROR(ShapeMismatch,
        EXPECT_WORDS(
            {"model.layers.0.self_attn.q_proj.weight", "found: [128, 64]", "allowed: [256, 64]",
                "num_attention_heads: 4", "num_key_value_heads: 2", "head_dim: 64"}),
        inspect_model(tiny.path()));
}

void OpenModelTest::followsTheStoredElementType()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["torch_dtype"] = "float16"; });
    const auto model = open_model(tiny.path());
    QVERIFY(warns(model->info, "torch_dtype float16"));
    QCOMPARE(model->config["torch_dtype"].get<std::string>(), std::string("bfloat16"));
}

void OpenModelTest::usesTheStoredHeadWhenItDiffers()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["tie_word_embeddings"] = true; });
    const auto model = open_model(tiny.path());
    QCOMPARE(model->info.tied_head, false);
    QVERIFY(warns(model->info, "the stored head is used"));
    QCOMPARE(model->config["tie_word_embeddings"].get<bool>(), false);
}

void OpenModelTest::dropsAStoredCopyOfTheTiedHead()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["tie_word_embeddings"] = true; });
    tiny.edit_tensors([](auto& tensors) {
        TinyCheckpoint::find(tensors, "lm_head.weight") =
            TinyCheckpoint::find(tensors, "model.embed_tokens.weight").clone();
    });
    const auto model = open_model(tiny.path());
    QCOMPARE(model->info.tied_head, true);
    QVERIFY(warns(model->info, "equals the embedding"));
    QCOMPARE(model->info.layers.size(), std::size_t{14});
}

void OpenModelTest::tiesAHeadThatIsNotStored()
{
    const TinyCheckpoint tiny;
    tiny.edit_tensors([](auto& tensors) { TinyCheckpoint::erase(tensors, "lm_head"); });
    const auto model = open_model(tiny.path());
    QCOMPARE(model->info.tied_head, true);
    QVERIFY(warns(model->info, "none is stored"));
    QCOMPARE(model->config["tie_word_embeddings"].get<bool>(), true);
}

void OpenModelTest::takesATiedHeadForTheEmbedding()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["tie_word_embeddings"] = true; });
    tiny.edit_tensors([](auto& tensors) { TinyCheckpoint::erase(tensors, "model.embed_tokens"); });
    const auto model = open_model(tiny.path());
    QCOMPARE(model->info.tied_head, true);
    QCOMPARE(model->spec.model_names.embedding, std::string("lm_head"));
}

void OpenModelTest::findsTheDecoderInsideAMultimodalModel()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) {
        Json text = config;
        config = {{"model_type", "llava"}, {"architectures", {"LlavaForConditionalGeneration"}},
            {"tie_word_embeddings", false}, {"text_config", std::move(text)}};
    });
    tiny.edit_tensors([](auto& tensors) {
        for (auto& item : tensors) {
            item.first = "language_model." + item.first;
        }
        tensors.emplace_back("vision_tower.x.weight", at::ones({4, 4}));
    });
    const auto model = open_model(tiny.path());
    QCOMPARE(model->family, std::string("llama"));
    QCOMPARE(model->info.layers.front().name,
        std::string("language_model.model.layers.0.self_attn.q_proj"));
    QCOMPARE(model->info.layers.back().name, std::string("language_model.lm_head"));
}

void OpenModelTest::saysThatThereIsNoSuchModel()
{
    const TempFolder temp;
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"/no/such/folder"}), inspect_model("/no/such/folder"));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"a.txt"}),
        inspect_model(temp.write("a.txt", "x").string()));
}

void OpenModelTest::findsQuantizationDescribedElsewhere()
{
    const TinyCheckpoint older, nested, beside;
    older.edit_config([](Json& config) {
        config["compression_config"] = {{"quant_method", "eetq"}};
    });
    EXPECT_ERROR(
        UnsupportedModel, EXPECT_WORDS({"already quantized", "eetq"}), inspect_model(older.path()));
    nested.edit_config([](Json& config) {
        Json text = config;
        text["quantization_config"] = {{"quant_method", "aqlm"}};
        config = {{"model_type", "llava"}, {"text_config", std::move(text)}};
    });
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"already quantized", "aqlm"}),
        inspect_model(nested.path()));
    beside.temp.write("hf_quant_config.json", "{}");
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"already quantized", "modelopt"}),
        inspect_model(beside.path()));
}

BITSMITH_TEST(OpenModelTest)
#include "open_model_test.moc"
