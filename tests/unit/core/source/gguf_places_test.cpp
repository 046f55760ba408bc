// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_places.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::source;

class GgufPlacesTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void placesModules_data();
    void placesModules();
    void findsFamiliesUnderOtherNames();
};

void GgufPlacesTest::placesModules_data()
{
    QTest::addColumn<QString>("family");
    QTest::addColumn<QString>("stem"); // of the model's names
    QTest::addColumn<QString>("module");
    QTest::addColumn<QString>("place"); // empty: none
    QTest::addColumn<int>("expert");
    const auto row = [](const char* family, const char* stem, const char* module, const char* place,
                         int expert = -1) {
        QTest::addRow("%s %s", family, module)
            << QString(family) << QString(stem) << QString(module) << QString(place) << expert;
    };
    row("llama", "model.", "model.embed_tokens", "token_embd");
    row("llama", "model.", "model.norm", "output_norm");
    row("llama", "model.", "lm_head", "output");
    row("llama", "model.", "model.layers.11.self_attn.q_proj", "blk.11.attn_q");
    row("llama", "model.", "model.layers.0.mlp.experts.1.down_proj", "");
    row("llama", "model.", "model.layers.self_attn.q_proj", "");
    row("llama", "model.", "model.layers.1x.self_attn.q_proj", "");
    row("gemma3", "language_model.model.", "language_model.model.layers.3.mlp.up_proj",
        "blk.3.ffn_up");
    row("gemma3", "language_model.model.", "vision_tower.layers.3.mlp.up_proj", "");
    row("phi3", "model.", "model.layers.2.self_attn.qkv_proj", "blk.2.attn_qkv");
    row("qwen3_moe", "model.", "model.layers.2.mlp.experts.17.gate_proj", "blk.2.ffn_gate_exps",
        17);
    row("mixtral", "model.", "model.layers.2.block_sparse_moe.experts.7.w2", "blk.2.ffn_down_exps",
        7);
    row("mixtral", "model.", "model.layers.2.block_sparse_moe.experts.w2", "");
    row("gemma", "model.", "model.layers.2.post_attention_layernorm", "blk.2.ffn_norm");
    row("gpt_oss", "model.", "model.layers.2.post_attention_layernorm",
        "blk.2.post_attention_norm");
    row("gpt_oss", "model.", "model.layers.2.self_attn.sinks", "blk.2.attn_sinks");
    row("gpt_oss", "model.", "model.layers.2.mlp.router", "blk.2.ffn_gate_inp");
    row("gpt_oss", "model.", "model.layers.2.mlp.experts.3.up_proj", "blk.2.ffn_up_exps", 3);
}

void GgufPlacesTest::placesModules()
{
    QFETCH(QString, family);
    QFETCH(QString, stem);
    QFETCH(QString, module);
    QFETCH(QString, place);
    QFETCH(int, expert);
    model::DecoderSpec spec;
    spec.model_names.block = stem.toStdString() + "layers.{i}.";
    spec.model_names.embedding = stem.toStdString() + "embed_tokens";
    const GgufFamily* found = find_gguf_family(family.toStdString());
    QVERIFY(found != nullptr);
    const auto placed = GgufPlaces(spec, *found).place(module.toStdString());
    QCOMPARE(placed.has_value(), !place.isEmpty());
    if (placed) {
        QCOMPARE(QString::fromStdString(placed->name), place);
        QCOMPARE(placed->expert, int64_t{expert});
    }
}

void GgufPlacesTest::findsFamiliesUnderOtherNames()
{
    QCOMPARE(find_gguf_family("mistral"), find_gguf_family("llama"));
    QCOMPARE(find_gguf_family("gemma3"), find_gguf_family("gemma3_text"));
    QVERIFY(find_gguf_family("mamba") == nullptr);
}

BITSMITH_TEST(GgufPlacesTest)
#include "gguf_places_test.moc"
