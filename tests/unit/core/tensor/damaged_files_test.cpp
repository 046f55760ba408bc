// SPDX-License-Identifier: GPL-3.0-or-later
// Small valid files with every field damaged in turn: a reader refuses them, or stays within them.
#include "support/gguf_builder.h"
#include "support/json_damage.h"
#include "support/safetensors_bytes.h"
#include "support/test_main.h"
#include "tensor/gguf_reader.h"
#include "tensor/safetensors_reader.h"

#include <bitsmith/error.h>

#include <ATen/core/Tensor.h>

#include <QtTest>

#include <array>

using namespace bitsmith;
using namespace bitsmith::tensor;

class DamagedFilesTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void staysInsideSafetensors();
    void staysInsideSafetensorsOfAnyHeaderLength();
    void refusesTensorsThatAreEmptyButVast();
    void staysInsideGguf();
    void refusesEveryTruncationOfGguf();
};

namespace {

constexpr std::array<uint64_t, 12> kHostileNumbers = {0, 1, 2, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000,
    0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF};

enum class Outcome
{
    Refused,
    Read, ///< and everything in it lies inside the file
};

/// Runs `read`; throws what is no refusal of a damaged file.
template <class Read>
Outcome outcome_of(const Read& read)
{
    try {
        read();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::FileCorrupt) {
            throw;
        }
        return Outcome::Refused;
    }
    return Outcome::Read;
}

Outcome read_safetensors(const std::string& bytes)
{
    return outcome_of([&] {
        const SafetensorsReader reader(bytes_source(bytes));
        std::size_t total = 0;
        for (const TensorEntry& entry : reader.entries()) {
            total += static_cast<std::size_t>(entry.bytes);
            BITSMITH_ASSERT(static_cast<int64_t>(reader.load(entry.name).nbytes()) == entry.bytes);
        }
        BITSMITH_ASSERT(total < bytes.size());
    });
}

Outcome read_gguf(const test::Bytes& bytes)
{
    return outcome_of([&] {
        const GgufReader reader(memory_source(bytes, "test.gguf"));
        std::size_t total = 0;
        for (const GgufTensor& tensor : reader.tensors()) {
            total += reader.data(tensor).size();
            BITSMITH_ASSERT(tensor.begin + tensor.bytes <= bytes.size());
        }
        BITSMITH_ASSERT(total < bytes.size());
    });
}

Json header()
{
    return {{"__metadata__", {{"format", "pt"}}},
        {"a", {{"dtype", "F32"}, {"shape", {2, 2}}, {"data_offsets", {0, 16}}}},
        {"b", {{"dtype", "U8"}, {"shape", {3}}, {"data_offsets", {16, 19}}}}};
}

test::Bytes gguf_file()
{
    test::GgufBuilder builder;
    builder.text("general.architecture", "llama").u32("general.alignment", 32);
    builder.flag("flag", true).texts("texts", {"one", ""}).array<int32_t>("numbers", 5, {1, -1});
    builder.floats("a.weight", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
    builder.tensor("b.weight", {32}, 8, test::Bytes(34)); // Q8_0
    return builder.bytes();
}

} // namespace

void DamagedFilesTest::staysInsideSafetensors()
{
    const std::string data(19, '\1');
    QCOMPARE(read_safetensors(safetensors_text(header().dump(), data)), Outcome::Read);
    int refused = 0, read = 0;
    test::for_each_damage(header(), [&](const Json& damaged, const std::string& what) {
        try {
            const std::string text = damaged.dump();
            ++(read_safetensors(safetensors_text(text, data)) == Outcome::Read ? read : refused);
        } catch (const std::exception& error) {
            QFAIL(qPrintable(QString::fromStdString(what + ": " + error.what())));
        }
    });
    QVERIFY2(refused > 100 && read > 0, qPrintable(QString("%1, %2").arg(refused).arg(read)));
}

void DamagedFilesTest::staysInsideSafetensorsOfAnyHeaderLength()
{
    const std::string whole = safetensors_text(header().dump(), std::string(19, '\1'));
    const uint64_t length = header().dump().size();
    for (uint64_t wrong : {length - 1, length + 1, length + 18, length + 19, length + 20}) {
        std::string bytes = whole;
        std::memcpy(bytes.data(), &wrong, sizeof wrong);
        QCOMPARE(read_safetensors(bytes), Outcome::Refused);
    }
    for (const uint64_t wrong : kHostileNumbers) {
        std::string bytes = whole;
        std::memcpy(bytes.data(), &wrong, sizeof wrong);
        QCOMPARE(read_safetensors(bytes), Outcome::Refused);
    }
}

/// Strides of such a tensor overflow although it holds nothing.
void DamagedFilesTest::refusesTensorsThatAreEmptyButVast()
{
    for (const char* shape : {"[0,1099511627776,1099511627776]", "[0,4611686018427387904,4]",
             "[0,9223372036854775807,9223372036854775807]"}) {
        const std::string text =
            std::string(R"({"t":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":[0,0]}})";
        QCOMPARE(read_safetensors(safetensors_text(text, "")), Outcome::Refused);
    }
}

void DamagedFilesTest::staysInsideGguf()
{
    const test::Bytes whole = gguf_file();
    QCOMPARE(read_gguf(whole), Outcome::Read);
    int refused = 0, read = 0;
    for (const std::size_t width : {std::size_t{1}, std::size_t{4}, std::size_t{8}}) {
        for (std::size_t at = 0; at + width <= whole.size(); ++at) {
            for (const uint64_t number : kHostileNumbers) {
                test::Bytes bytes = whole;
                std::memcpy(bytes.data() + at, &number, width);
                ++(read_gguf(bytes) == Outcome::Read ? read : refused);
            }
        }
    }
    QVERIFY2(refused > 1000 && read > 0, qPrintable(QString("%1, %2").arg(refused).arg(read)));
}

void DamagedFilesTest::refusesEveryTruncationOfGguf()
{
    const test::Bytes whole = gguf_file();
    // The last tensor's padding may be missing: 34 of its 64 bytes are data.
    const std::size_t needed = whole.size() - 30;
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const test::Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
        QCOMPARE(read_gguf(cut), n < needed ? Outcome::Refused : Outcome::Read);
    }
}

BITSMITH_TEST(DamagedFilesTest)
#include "damaged_files_test.moc"
