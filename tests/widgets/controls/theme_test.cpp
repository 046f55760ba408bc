// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "widgets/text/format_text.h"
#include "widgets/theme/color_scale.h"
#include "widgets/theme/theme.h"

#include <QtTest>

using namespace bitsmith::ui;

class ThemeTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void textHasEnoughContrastInBothThemes();
    void bitsAreToldApart();
    void scaleGrowsInLightness();
    void numbersAreWrittenForPeople();
};

void ThemeTest::textHasEnoughContrastInBothThemes()
{
    for (const QPalette& palette : {lightPalette(), darkPalette()}) {
        for (const auto background : {QPalette::Window, QPalette::Base}) {
            const QColor back = palette.color(background);
            QVERIFY(contrastRatio(palette.color(QPalette::WindowText), back) >= 7);
            for (const ColorRole role : {ColorRole::Accent, ColorRole::Good, ColorRole::Caution,
                     ColorRole::Bad, ColorRole::Muted}) {
                const double ratio = contrastRatio(roleColor(palette, role), back);
                QVERIFY2(ratio >= 4.5,
                    qPrintable(QStringLiteral("role %1 on %2: %3")
                                   .arg(static_cast<int>(role))
                                   .arg(back.name())
                                   .arg(ratio)));
            }
        }
        QVERIFY(contrastRatio(
                    palette.color(QPalette::HighlightedText), palette.color(QPalette::Highlight))
            >= 4.5);
    }
}

void ThemeTest::bitsAreToldApart()
{
    const double bits[] = {2.25, 3.25, 4.25, 5.5, 6.5, 8.25};
    for (std::size_t i = 1; i < std::size(bits); ++i) {
        QVERIFY2(contrastRatio(bitsColor(bits[i - 1]), bitsColor(bits[i])) >= 1.12,
            qPrintable(QString::number(bits[i])));
    }
    QVERIFY(keepsPrecision(16));
    QVERIFY(!keepsPrecision(8.25));
    for (const double bit : bits) {
        QVERIFY(contrastRatio(textOn(bitsColor(bit)), bitsColor(bit)) >= 4.5);
    }
}

void ThemeTest::scaleGrowsInLightness()
{
    double last = 0;
    for (int i = 0; i <= 20; ++i) {
        const double contrast = contrastRatio(scaleColor(i / 20.0), Qt::black);
        QVERIFY(contrast > last);
        last = contrast;
    }
    QCOMPARE(scaleColor(-1), scaleColor(0));
    QCOMPARE(scaleColor(2), scaleColor(1));
}

void ThemeTest::numbersAreWrittenForPeople()
{
    QCOMPARE(formatDuration(4.21), QStringLiteral("4.2 s"));
    QCOMPARE(formatDuration(133), QStringLiteral("2 min 13 s"));
    QCOMPARE(formatDuration(3840), QStringLiteral("1 h 04 min"));
    QCOMPARE(formatDurationRange(1080, 1440), QStringLiteral("about 18–24 min"));
    QCOMPARE(formatDurationRange(30, 30), QStringLiteral("about 30 s"));
    QCOMPARE(formatParameters(134515008), QStringLiteral("134.5 M"));
    QCOMPARE(formatPercent(0.932), QStringLiteral("93.2 %"));
    QCOMPARE(formatChange(-0.41, 0), QStringLiteral("−41 %"));
    QCOMPARE(formatReal(std::numeric_limits<double>::quiet_NaN()), unknownValue());
    QCOMPARE(shortModelName(QStringLiteral("/models/Qwen3-0.6B/")), QStringLiteral("Qwen3-0.6B"));
    QCOMPARE(formatAge(0, 26 * 3600 * 1000), QStringLiteral("yesterday"));
}

BITSMITH_TEST(ThemeTest)
#include "theme_test.moc"
