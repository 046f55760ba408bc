// SPDX-License-Identifier: GPL-3.0-or-later
// Light and dark looks: Fusion style, own palettes, one small style sheet made from the palette.
// Widgets read colours from their palette and from roleColor, so a switch needs no restart.
#pragma once

#include <QColor>
#include <QFont>
#include <QObject>
#include <QPalette>

class QApplication;
class QWidget;

namespace bitsmith::ui {

enum class ThemeChoice
{
    System,
    Light,
    Dark
};

/// Colours with a meaning, beside those of QPalette.
enum class ColorRole
{
    Accent, ///< links, the live curve, the active stage
    Good,
    Caution,
    Bad,
    Muted, ///< secondary text
    Border,
    Faint ///< previous curve, disabled marks
};

QPalette lightPalette();
QPalette darkPalette();
bool isDark(const QPalette& palette);
/// Contrast with the window of at least 4.5 for Accent, Good, Caution, Bad and Muted (tested).
QColor roleColor(const QPalette& palette, ColorRole role);
/// `color` mixed into the base colour of the palette; `share` 0 to 1.
QColor tint(const QPalette& palette, const QColor& color, double share);

/// Font of `widget`'s application scaled by `factor`, for titles and captions.
QFont scaledFont(double factor, QFont::Weight weight = QFont::Normal);

/// Applies a choice to the whole application. Create after QApplication, before the first window.
class Theme : public QObject
{
    Q_OBJECT

public:
    explicit Theme(QApplication* application);

    ThemeChoice choice() const { return m_choice; }
    void setChoice(ThemeChoice choice);

Q_SIGNALS:
    void changed();

private:
    bool systemIsDark() const;
    void apply();

    QApplication* m_application;
    ThemeChoice m_choice = ThemeChoice::System;
    bool m_startedDark = false; ///< palette of the system when the program started
};

} // namespace bitsmith::ui
