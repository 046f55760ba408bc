// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/simd.h"
#include "support/test_main.h"

#include <c10/util/Half.h>

#include <QtTest>

using namespace bitsmith;

class SimdTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void roundsToHalfLikeTheLibrary();
};

/// Every number of fp16, what lies between it and the next, and the neighbours of both.
void SimdTest::roundsToHalfLikeTheLibrary()
{
    for (uint16_t bits = 0; bits < 0x7C00; ++bits) {
        const auto number = static_cast<float>(c10::Half(bits, c10::Half::from_bits()));
        const auto next =
            static_cast<float>(c10::Half(static_cast<uint16_t>(bits + 1), c10::Half::from_bits()));
        const float middle = std::isinf(next) ? 65520.0F : (number + next) / 2;
        for (const float center : {number, middle}) {
            for (const float x :
                {center, std::nextafter(center, 1e9F), std::nextafter(center, 0.0F)}) {
                QCOMPARE(rounded_to_half(x), static_cast<float>(c10::Half(x)));
                QCOMPARE(rounded_to_half(-x), static_cast<float>(c10::Half(-x)));
            }
        }
    }
}

BITSMITH_TEST(SimdTest)
#include "simd_test.moc"
