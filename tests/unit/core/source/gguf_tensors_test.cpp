// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_tensors.h"
#include "support/gguf_builder.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <QtTest>

#include <numeric>

using namespace bitsmith;
using namespace bitsmith::source;
using test::GgufBuilder;

namespace {

std::vector<float> counting(std::size_t count)
{
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), 0.0F);
    return values;
}

GgufBuilder model_of(const std::string& arch)
{
    GgufBuilder builder;
    builder.text("general.architecture", arch);
    builder.u32(arch + ".attention.head_count", 2).u32(arch + ".attention.head_count_kv", 1);
    builder.floats("token_embd.weight", {4, 6}, counting(24));
    return builder;
}

GgufTensors open(GgufBuilder& builder)
{
    auto parts = std::make_shared<const GgufParts>(
        std::vector<std::shared_ptr<const ByteSource>>{builder.source()});
    return {parts, gguf_family_for(parts->metadata())};
}

/// First element of every row.
std::vector<float> first_column(const at::Tensor& tensor)
{
    const at::Tensor column = tensor.select(1, 0).contiguous();
    return {column.const_data_ptr<float>(), column.const_data_ptr<float>() + column.numel()};
}

ErrorCode code_of(GgufBuilder& builder)
{
    try {
        open(builder);
    } catch (const Error& error) {
        return error.code();
    }
    return ErrorCode::Internal;
}

} // namespace

class GgufTensorsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void undoesTheRotaryOrderOfLlama();
    void leavesTheRowsOfQwenAlone();
    void takesOneFromTheNormsOfGemma();
    void namesTensorsInCheckpointOrder();
    void splitsStackedExperts();
    void refusesTensorsItDoesNotKnow();
    void refusesTypesItCannotDecode();
    void refusesHeadsThatDoNotDivide();
    void refusesUnknownArchitectures();
    void readsSplitFiles();
    void refusesPartsOfDifferentModels();
};

// formats.md 6.12: with rows in the order of the file the model writes fluent nonsense.
void GgufTensorsTest::undoesTheRotaryOrderOfLlama()
{
    // formats.md 6.6 item 1 for d = 8: stored rows are old rows 0,4,1,5,2,6,3,7 of each head.
    const std::vector<float> stored{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
    GgufBuilder builder = model_of("llama");
    builder.floats("blk.0.attn_q.weight", {1, 16}, stored);
    builder.floats("blk.0.attn_k.weight", {1, 8}, {0, 4, 1, 5, 2, 6, 3, 7});
    builder.floats("blk.0.attn_k.bias", {8}, {0, 4, 1, 5, 2, 6, 3, 7});
    builder.floats("blk.0.attn_v.weight", {1, 16}, stored);
    const GgufTensors tensors = open(builder);
    QCOMPARE(first_column(tensors.load("model.layers.0.self_attn.q_proj.weight")), counting(16));
    QCOMPARE(first_column(tensors.load("model.layers.0.self_attn.k_proj.weight")), counting(8));
    QCOMPARE(first_column(tensors.load("model.layers.0.self_attn.k_proj.bias").unsqueeze(1)),
        counting(8));
    QCOMPARE(first_column(tensors.load("model.layers.0.self_attn.v_proj.weight")), stored);
}

void GgufTensorsTest::leavesTheRowsOfQwenAlone()
{
    GgufBuilder builder = model_of("qwen2");
    builder.floats("blk.0.attn_q.weight", {1, 16}, counting(16));
    QCOMPARE(
        first_column(open(builder).load("model.layers.0.self_attn.q_proj.weight")), counting(16));
}

void GgufTensorsTest::takesOneFromTheNormsOfGemma()
{
    GgufBuilder builder = model_of("gemma3");
    for (const char* name : {"blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
             "blk.0.post_ffw_norm.weight", "blk.0.attn_q_norm.weight", "output_norm.weight"}) {
        builder.floats(name, {2}, {1.5F, 3.0F});
    }
    builder.floats("blk.0.attn_q.weight", {1, 2}, {1.5F, 3.0F});
    const GgufTensors tensors = open(builder);
    for (const char* name :
        {"model.layers.0.input_layernorm.weight", "model.layers.0.pre_feedforward_layernorm.weight",
            "model.layers.0.post_feedforward_layernorm.weight",
            "model.layers.0.self_attn.q_norm.weight", "model.norm.weight"}) {
        QCOMPARE(first_column(tensors.load(name).unsqueeze(1)), (std::vector<float>{0.5F, 2.0F}));
    }
    QCOMPARE(first_column(tensors.load("model.layers.0.self_attn.q_proj.weight")),
        (std::vector<float>{1.5F, 3.0F}));
}

void GgufTensorsTest::namesTensorsInCheckpointOrder()
{
    GgufBuilder builder = model_of("phi3");
    builder.floats("output.weight", {1}, {1}).floats("output_norm.weight", {1}, {1});
    for (const char* block : {"blk.10.", "blk.2."}) {
        for (const char* name : {"ffn_up", "attn_qkv", "attn_norm", "ffn_norm"}) {
            builder.floats(std::string(block) + name + ".weight", {1}, {1});
        }
    }
    builder.floats("rope_factors_long.weight", {1}, {1});
    const GgufTensors tensors = open(builder);
    std::vector<std::string> names;
    for (const tensor::TensorEntry& entry : tensors.entries()) {
        names.push_back(entry.name);
    }
    QCOMPARE(names,
        (std::vector<std::string>{"model.embed_tokens.weight",
            "model.layers.2.input_layernorm.weight",
            "model.layers.2.post_attention_layernorm.weight",
            "model.layers.2.self_attn.qkv_proj.weight", "model.layers.2.mlp.gate_up_proj.weight",
            "model.layers.10.input_layernorm.weight",
            "model.layers.10.post_attention_layernorm.weight",
            "model.layers.10.self_attn.qkv_proj.weight", "model.layers.10.mlp.gate_up_proj.weight",
            "model.norm.weight", "lm_head.weight"}));
}

void GgufTensorsTest::splitsStackedExperts()
{
    GgufBuilder builder = model_of("qwen3moe");
    builder.u32("qwen3moe.expert_count", 3);
    builder.floats("blk.0.ffn_up_exps.weight", {2, 1, 3}, {0, 1, 10, 11, 20, 21});
    const GgufTensors tensors = open(builder);
    const at::Tensor second = tensors.load("model.layers.0.mlp.experts.1.up_proj.weight");
    QCOMPARE(second.sizes().vec(), (std::vector<int64_t>{1, 2}));
    QCOMPARE(second.sum().item<float>(), 21.0F);
    QCOMPARE(tensors.find("model.layers.0.mlp.experts.2.up_proj.weight")->bytes, int64_t{8});
    QVERIFY(tensors.find("model.layers.0.mlp.experts.3.up_proj.weight") == nullptr);
}

// formats.md 6.12: tensors that the graph does not consume.
void GgufTensorsTest::refusesTensorsItDoesNotKnow()
{
    GgufBuilder builder = model_of("llama");
    builder.floats("blk.0.attn_surprise.weight", {1}, {1});
    QCOMPARE(code_of(builder), ErrorCode::UnsupportedModel);
}

void GgufTensorsTest::refusesTypesItCannotDecode()
{
    GgufBuilder builder = model_of("llama");
    builder.tensor("blk.0.ffn_up.weight", {256, 1}, 23, test::Bytes(136));
    QCOMPARE(code_of(builder), ErrorCode::UnsupportedFormat);
}

void GgufTensorsTest::refusesHeadsThatDoNotDivide()
{
    GgufBuilder builder = model_of("llama");
    builder.floats("blk.0.attn_q.weight", {1, 6}, counting(6)); // 2 heads of 3 rows: no pairs
    QCOMPARE(code_of(builder), ErrorCode::ShapeMismatch);
}

void GgufTensorsTest::refusesUnknownArchitectures()
{
    GgufBuilder unknown = model_of("rwkv7");
    QCOMPARE(code_of(unknown), ErrorCode::UnsupportedModel);
    GgufBuilder experts = model_of("qwen3");
    experts.u32("qwen3.expert_count", 8);
    QCOMPARE(code_of(experts), ErrorCode::UnsupportedModel);
    GgufBuilder nameless;
    QCOMPARE(code_of(nameless), ErrorCode::FileCorrupt);
}

void GgufTensorsTest::readsSplitFiles()
{
    GgufBuilder first = model_of("qwen2");
    first.scalar("split.no", 2, uint16_t{0}).scalar("split.count", 2, uint16_t{2});
    first.scalar("split.tensors.count", 5, int32_t{2});
    GgufBuilder second;
    second.scalar("split.no", 2, uint16_t{1}).scalar("split.count", 2, uint16_t{2});
    second.floats("output_norm.weight", {2}, {5, 6});
    const auto parts = std::make_shared<const GgufParts>(
        std::vector<std::shared_ptr<const ByteSource>>{first.source("a"), second.source("b")});
    const GgufTensors tensors(parts, gguf_family_for(parts->metadata()));
    QCOMPARE(tensors.load("model.norm.weight").sum().item<float>(), 11.0F);
    QCOMPARE(tensors.load("model.embed_tokens.weight").sum().item<float>(), 276.0F);
}

void GgufTensorsTest::refusesPartsOfDifferentModels()
{
    GgufBuilder first = model_of("qwen2");
    first.scalar("split.no", 2, uint16_t{0}).scalar("split.count", 2, uint16_t{2});
    GgufBuilder wrong;
    wrong.scalar("split.no", 2, uint16_t{0}).scalar("split.count", 2, uint16_t{2});
    const std::vector<std::shared_ptr<const ByteSource>> sources{
        first.source("a"), wrong.source("b")};
    QVERIFY_EXCEPTION_THROWN(GgufParts{sources}, Error);
    const std::vector<std::shared_ptr<const ByteSource>> alone{first.source("a")};
    QVERIFY_EXCEPTION_THROWN(GgufParts{alone}, Error);
}

BITSMITH_TEST(GgufTensorsTest)
#include "gguf_tensors_test.moc"
