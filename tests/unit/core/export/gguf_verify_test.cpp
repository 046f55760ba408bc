// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/gguf_exporter.h"
#include "support/gguf_llama.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;

/// GGUF files that other programs wrote, checked without their run.
class GgufVerifyTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void findsNothingInASoundFile();
    void findsHeadsThatContradictTheTensors();
    void findsScalesThatAreNotFinite();
    void findsTextThatNothingSaysHowToSplit();
};

namespace {

std::vector<std::string> findings(const test::GgufLlama& llama)
{
    const TempFolder folder;
    const test::Bytes bytes = test::small_llama(llama).bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return GgufExporter().verify(folder.write("small.gguf", text), nullptr);
}

/// Q8_0 blocks of the codes 1 under one scale, given by its bits.
test::Bytes q8_blocks(uint16_t scale)
{
    test::Bytes bytes;
    for (uint64_t block = 0; block < test::kLlamaHidden; ++block) {
        test::append(bytes, scale);
        bytes.insert(bytes.end(), test::kLlamaWidth, std::byte{1});
    }
    return bytes;
}

} // namespace

void GgufVerifyTest::findsNothingInASoundFile()
{
    QCOMPARE(findings({}), std::vector<std::string>());
    QCOMPARE(findings({.down = q8_blocks(0x3800)}), std::vector<std::string>());
}

// formats.md 6.12: a wrong head_count_kv loads fine and degrades silently.
void GgufVerifyTest::findsHeadsThatContradictTheTensors()
{
    const auto found = findings({.kv_heads = 4});
    QCOMPARE(found.size(), std::size_t(1));
    QVERIFY2(
        found[0].find("model.layers.0.self_attn.k_proj") != std::string::npos, found[0].c_str());
}

// formats.md 6.12: the scale of a block overflows 16 bits.
void GgufVerifyTest::findsScalesThatAreNotFinite()
{
    for (const uint16_t scale : {uint16_t{0x7C00}, uint16_t{0x7E00}}) { // infinite, not a number
        QCOMPARE(findings({.down = q8_blocks(scale)}),
            std::vector<std::string>{"tensor model.layers.0.mlp.down_proj.weight has 512 values "
                                     "that are NaN or infinite"});
    }
}

// formats.md 6.12: without tokenizer.ggml.pre digits and blanks are split wrongly, without token_type
// control tokens are printed as text.
void GgufVerifyTest::findsTextThatNothingSaysHowToSplit()
{
    const auto found = findings({.pre = "", .has_token_types = false});
    QCOMPARE(found.size(), std::size_t(2));
    QVERIFY2(found[0].find("tokenizer.ggml.pre ") != std::string::npos, found[0].c_str());
    QVERIFY2(found[1].find("tokenizer.ggml.token_type ") != std::string::npos, found[1].c_str());
}

BITSMITH_TEST(GgufVerifyTest)
#include "gguf_verify_test.moc"
