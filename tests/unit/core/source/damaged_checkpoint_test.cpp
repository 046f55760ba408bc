// SPDX-License-Identifier: GPL-3.0-or-later
// Small checkpoints of every method with every field and every tensor damaged in turn, and names
// that lead out of the model's folder (ahead.md 4.7).
#include "arch/registry.h"
#include "coded_check.h"
#include "source/hf_folder.h"
#include "source/quantized_checkpoint.h"
#include "support/expect_error.h"
#include "support/json_damage.h"
#include "support/temp_folder.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::source;

class DamagedCheckpointTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void staysInsideADamagedDescription_data();
    void staysInsideADamagedDescription();
    void staysInsideDamagedTensors_data();
    void staysInsideDamagedTensors();
    void refusesPatternsThatNeverEnd_data();
    void refusesPatternsThatNeverEnd();
    void staysInsideADamagedConfig();
    void refusesNamesThatLeadOutside_data();
    void refusesNamesThatLeadOutside();
    void refusesSideFilesThatLeadOutside();
};

namespace {

struct Checkpoint
{
    const char* name;
    Json description; ///< quantization_config
    TensorMap tensors;
};

at::Tensor bytes(std::vector<int64_t> shape)
{
    return at::randint(1, 100, shape, at::kByte);
}

at::Tensor words(std::vector<int64_t> shape)
{
    return at::randint(0, INT32_MAX, shape, at::kInt);
}

at::Tensor scales(std::vector<int64_t> shape, at::ScalarType type = at::kHalf)
{
    return at::ones(shape).to(type);
}

/// 32 rows, 32 columns, groups of 16, 4 bits.
TensorMap gptq_layer()
{
    return {{"p.qweight", words({4, 32})}, {"p.qzeros", words({2, 4}).bitwise_and(0x33333333)},
        {"p.scales", scales({2, 32})},
        {"p.g_idx", at::arange(32, at::kLong).div(16, "floor").to(at::kInt)}};
}

/// One of every layout.
std::vector<Checkpoint> checkpoints()
{
    at::manual_seed(5);
    const Json group = {{"weights", {{"num_bits", 4}, {"block_structure", {16, 16}}}}};
    const Json compressed = {{"quant_method", "compressed-tensors"}, {"format", "mixed-precision"},
        {"config_groups", {{"group_0", group}}}};
    const Json packed = {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"},
        {"config_groups", {{"group_0", {{"weights", {{"num_bits", 4}, {"type", "int"}}}}}}}};
    const at::Tensor e4m3 = bytes({32, 32}).view(at::kFloat8_e4m3fn);
    return {
        {"GPTQ",
            {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 16}, {"sym", true},
                {"checkpoint_format", "gptq"}, {"dynamic", {{"+:p", {{"bits", 4}}}}}},
            gptq_layer()},
        {"AWQ", {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 16}, {"zero_point", true}},
            {{"p.qweight", words({32, 4})}, {"p.qzeros", words({2, 4})},
                {"p.scales", scales({2, 32})}}},
        {"auto-round",
            {{"quant_method", "auto-round"}, {"packing_format", "auto_round:auto_gptq"},
                {"bits", 4}, {"group_size", 16}, {"extra_config", {{"p", {{"bits", 4}}}}}},
            gptq_layer()},
        {"FP8 tiles", {{"quant_method", "fp8"}, {"weight_block_size", {16, 16}}},
            {{"p.weight", e4m3}, {"p.weight_scale_inv", scales({2, 2}, at::kFloat)}}},
        {"compressed, packed", packed,
            {{"p.weight_packed", words({8, 4})}, {"p.weight_scale", scales({8, 2})},
                {"p.weight_shape", at::tensor({8, 32}, at::kLong)},
                {"p.weight_zero_point", words({1, 2})}}},
        {"compressed, bytes", compressed,
            {{"p.weight", bytes({8, 32}).to(at::kChar)}, {"p.weight_scale", scales({8, 1})},
                {"p.weight_zero_point", at::zeros({8, 1}, at::kChar)}}},
        {"compressed, NVFP4", compressed,
            {{"p.weight_packed", bytes({4, 16})},
                {"p.weight_scale", bytes({4, 2}).view(at::kFloat8_e4m3fn)},
                {"p.weight_global_scale", scales({1}, at::kFloat)}}},
        {"compressed, MXFP4", compressed,
            {{"p.weight_packed", bytes({4, 16})}, {"p.weight_scale", bytes({4, 1})}}},
        {"MLX, MXFP4 of experts",
            {{"quant_method", "auto-round"}, {"packing_format", "mlx"}, {"bits", 4},
                {"group_size", 32}, {"mode", "affine"},
                {"x.mlp.switch_mlp.up_proj", {{"mode", "mxfp4"}, {"bits", 4}, {"group_size", 32}}}},
            {{"x.mlp.switch_mlp.up_proj.weight", words({2, 4, 4}).view(at::kUInt32)},
                {"x.mlp.switch_mlp.up_proj.scales", bytes({2, 4, 1})},
                {"x.mlp.switch_mlp.up_proj.bias", scales({2, 4})}}},
        {"MXFP4 of experts", {{"quant_method", "mxfp4"}},
            {{"x_blocks", bytes({2, 4, 1, 16})}, {"x_scales", bytes({2, 4, 1})}}},
    };
}

void add_checkpoints()
{
    QTest::addColumn<int>("index");
    int index = 0;
    for (const Checkpoint& checkpoint : checkpoints()) {
        QTest::newRow(checkpoint.name) << index++;
    }
}

/// Opens the checkpoint and reads everything in it. Empty when it is refused, or reads with the
/// shapes that were promised; otherwise what happened instead.
std::string finding(const Json& description, const TensorMap& tensors)
{
    try {
        Json config = {{"quantization_config", description}};
        const Unquantized opened = open_unquantized(config, "/nonexistent", stored_of(tensors));
        for (const tensor::TensorEntry& entry : opened.tensors->entries()) {
            if (opened.tensors->load(entry.name).sizes() != entry.shape) {
                return entry.name + " has another shape than its entry";
            }
        }
        if (opened.codes != nullptr) {
            for (const auto& [name, scheme] : opened.codes->schemes()) {
                quant::codec_for(scheme).decode(opened.codes->load(name));
            }
        }
    } catch (const Error& error) {
        return error.code() == ErrorCode::Internal ? error.what() : "";
    } catch (const std::exception& error) {
        return std::string("another exception: ") + error.what();
    }
    return {};
}

/// Other shapes and types of one tensor.
std::vector<at::Tensor> damaged(const at::Tensor& values)
{
    const at::Tensor plain = values.contiguous();
    std::vector<at::Tensor> result = {plain.flatten(), plain.unsqueeze(0), plain.unsqueeze(-1),
        plain.flatten().narrow(0, 0, 1).reshape({}), plain.view(at::kByte),
        at::zeros_like(plain.view(at::kByte)).view(plain.scalar_type())};
    for (int64_t dim = 0; dim < plain.dim(); ++dim) {
        for (const int64_t size : {int64_t{0}, int64_t{1}, plain.size(dim) - 1}) {
            result.push_back(plain.narrow(dim, 0, size).contiguous());
        }
        result.push_back(at::cat({plain, plain}, dim));
    }
    for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kInt, at::kLong, at::kByte,
             at::kChar, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
        result.push_back(at::ones(plain.sizes(), at::kFloat).to(type));
        result.push_back(at::full(plain.sizes(), -1, at::kFloat).to(type));
    }
    return result;
}

} // namespace

void DamagedCheckpointTest::staysInsideADamagedDescription_data()
{
    add_checkpoints();
}

void DamagedCheckpointTest::staysInsideADamagedDescription()
{
    QFETCH(int, index);
    const Checkpoint checkpoint = checkpoints()[static_cast<std::size_t>(index)];
    Json config = {{"quantization_config", checkpoint.description}};
    open_unquantized(config, "/nonexistent", stored_of(checkpoint.tensors)); // sound as it is
    test::for_each_damage(checkpoint.description, [&](const Json& description, std::string what) {
        const std::string found = finding(description, checkpoint.tensors);
        QVERIFY2(found.empty(), (what + ": " + found).c_str());
    });
}

void DamagedCheckpointTest::staysInsideDamagedTensors_data()
{
    add_checkpoints();
}

void DamagedCheckpointTest::staysInsideDamagedTensors()
{
    QFETCH(int, index);
    const Checkpoint checkpoint = checkpoints()[static_cast<std::size_t>(index)];
    for (const auto& [name, values] : checkpoint.tensors) {
        TensorMap tensors = checkpoint.tensors;
        tensors.erase(name);
        const std::string absent = finding(checkpoint.description, tensors);
        QVERIFY2(absent.empty(), (name + " absent: " + absent).c_str());
        for (const at::Tensor& other : damaged(values)) {
            tensors[name] = other;
            const std::string found = finding(checkpoint.description, tensors);
            QVERIFY2(found.empty(), (name + " " + other.toString() + ": " + found).c_str());
        }
    }
}

void DamagedCheckpointTest::refusesPatternsThatNeverEnd_data()
{
    QTest::addColumn<std::string>("pattern");
    QTest::newRow("deep") << std::string(250, '(') + "." + std::string(250, ')') + "*b";
    QTest::newRow("backtracking") << std::string("(a+a+)+b");
    QTest::newRow("repetition") << std::string("a?{9000}b");
}

/// Refused or matched, in a time and a depth that do not grow with what the pattern says.
void DamagedCheckpointTest::refusesPatternsThatNeverEnd()
{
    QFETCH(std::string, pattern);
    TensorMap tensors;
    for (const auto& [name, values] : gptq_layer()) {
        tensors[std::string(500, 'a') + name.substr(1)] = values;
    }
    const Json description = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 16},
        {"dynamic", {{pattern, Json::object()}}}};
    QCOMPARE(finding(description, tensors), std::string());
}

void DamagedCheckpointTest::staysInsideADamagedConfig()
{
    const TinyCheckpoint tiny;
    const Json config = read_json_file(tiny.temp / "config.json");
    test::for_each_damage(config, [](const Json& damaged, const std::string& what) {
        try {
            arch::family_for(damaged).spec_from_config(damaged);
        } catch (const Error& error) {
            QVERIFY2(error.code() == ErrorCode::InvalidSpec
                    || error.code() == ErrorCode::UnsupportedModel,
                (what + ": " + error.what()).c_str());
        } catch (const std::exception& error) {
            QFAIL((what + ": another exception: " + error.what()).c_str());
        }
    });
}

void DamagedCheckpointTest::refusesNamesThatLeadOutside_data()
{
    QTest::addColumn<std::string>("name");
    const std::string names[] = {"..", ".", "../x.safetensors", "a/../../x.safetensors",
        "/tmp/x.safetensors", "sub/x.safetensors", "..\\x.safetensors", "\\\\host\\x.safetensors",
        "C:\\x.safetensors", "C:x.safetensors", "x.safetensors:y", "NUL.safetensors",
        "com1.safetensors", std::string("x.safetensors\0.safetensors", 26), "x\x7f.safetensors",
        "x.safetensors\n", "x.safetensors ", "x.safetensors."};
    for (const std::string& name : names) {
        QTest::newRow(Json(name).dump().c_str()) << name;
    }
}

void DamagedCheckpointTest::refusesNamesThatLeadOutside()
{
    QFETCH(std::string, name);
    const TinyCheckpoint tiny;
    // The one tensor that is named outside stands behind a sound one.
    const Json index = {
        {"weight_map", {{"model.norm.weight", "model.safetensors"}, {"lm_head.weight", name}}}};
    tiny.temp.write("model.safetensors.index.json", index.dump());
    EXPECT_ERROR(
        FileCorrupt, EXPECT_WORDS({"index names a file"}), open_hf_folder(tiny.temp.path()));
}

void DamagedCheckpointTest::refusesSideFilesThatLeadOutside()
{
    namespace fs = std::filesystem;
    const TempFolder elsewhere;
    const fs::path secret = elsewhere.write("secret.jinja", "secret");
    const TinyCheckpoint file, folder, relative, inside;
    fs::create_symlink(secret, file.temp / "chat_template.jinja");
    fs::create_directory_symlink(elsewhere.path(), folder.temp / "additional_chat_templates");
    fs::create_directory(relative.temp / "additional_chat_templates");
    fs::create_symlink(fs::relative(secret, relative.temp / "additional_chat_templates"),
        relative.temp / "additional_chat_templates/x.jinja");
    for (const TinyCheckpoint* outside : {&file, &folder, &relative}) {
        EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"outside"}), open_hf_folder(outside->temp.path()));
    }
    fs::create_symlink("tokenizer.json", inside.temp / "same.json");
    QVERIFY(!open_hf_folder(inside.temp.path()).side_files.empty());
}

BITSMITH_TEST(DamagedCheckpointTest)
#include "damaged_checkpoint_test.moc"
