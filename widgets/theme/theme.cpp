// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/theme/theme.h"

#include "widgets/theme/field_style.h"

#include <QApplication>
#include <QGuiApplication>
#include <QStyleHints>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

struct Colors
{
    QRgb window, base, alternate, text, muted, button, highlight, border, link;
};

constexpr Colors kLight = {0xfff3f5f8, 0xffffffff, 0xfff8f9fb, 0xff1b2027, 0xff5a6675, 0xffffffff,
    0xff2a62c9, 0xffd6dbe2, 0xff2a62c9};
constexpr Colors kDark = {0xff14171b, 0xff1b1f25, 0xff20252c, 0xffe4e7eb, 0xff98a3b2, 0xff262c34,
    0xff3a70d2, 0xff303842, 0xff77a8ff};

QPalette paletteOf(const Colors& c)
{
    QPalette p;
    p.setColor(QPalette::Window, c.window);
    p.setColor(QPalette::WindowText, c.text);
    p.setColor(QPalette::Base, c.base);
    p.setColor(QPalette::AlternateBase, c.alternate);
    p.setColor(QPalette::Text, c.text);
    p.setColor(QPalette::PlaceholderText, c.muted);
    p.setColor(QPalette::Button, c.button);
    p.setColor(QPalette::ButtonText, c.text);
    p.setColor(QPalette::BrightText, Qt::white);
    p.setColor(QPalette::Highlight, c.highlight);
    p.setColor(QPalette::HighlightedText, Qt::white);
    p.setColor(QPalette::Link, c.link);
    p.setColor(QPalette::LinkVisited, c.link);
    p.setColor(QPalette::ToolTipBase, c.base);
    p.setColor(QPalette::ToolTipText, c.text);
    p.setColor(QPalette::Mid, c.border);
    p.setColor(QPalette::Midlight, c.border);
    p.setColor(QPalette::Light, c.alternate);
    p.setColor(QPalette::Dark, c.border);
    p.setColor(QPalette::Shadow, QColor(c.border).darker(120));
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
        p.setColor(QPalette::Disabled, role, c.muted);
    }
    p.setColor(QPalette::Disabled, QPalette::Highlight, c.border);
    return p;
}

// Only what Fusion draws in an old-fashioned way is restyled; fields, spin boxes and combos stay
// drawn by FieldStyle so that their parts keep working at every scale.
constexpr auto kSheet = R"(
QFrame[card="true"] { background: @base; border: 1px solid @border; border-radius: 8px; }
QFrame[rail="true"] { background: @base; border: none; border-right: 1px solid @border; }
QPushButton, QToolButton[button="true"] { background: @button; color: @text; border: 1px solid @border;
    border-radius: 6px; padding: 5px 12px; }
QPushButton:hover, QToolButton[button="true"]:hover { background: @hover; }
QPushButton:pressed, QToolButton[button="true"]:pressed { background: @pressed; }
QPushButton:disabled, QToolButton[button="true"]:disabled { color: @disabled; background: @window; }
QPushButton:focus, QToolButton[button="true"]:focus { border: 1px solid @link; }
QToolButton[button="true"]::menu-button { border: none; width: 18px; }
QToolButton[button="true"][popupMode="1"] { padding-right: 22px; }
QPushButton[primary="true"] { background: @highlight; color: white; border: 1px solid @highlight;
    font-weight: 600; }
QPushButton[primary="true"]:hover { background: @highlightHover; }
QPushButton[primary="true"]:disabled { background: @pressed; color: @disabled; border-color: @border; }
QPushButton[primary="true"]:focus { border: 1px solid @text; }
QPushButton[flat="true"] { border: 1px solid transparent; background: transparent; }
QPushButton[flat="true"]:hover { background: @hover; }
QPushButton[flat="true"]:focus { border: 1px solid @link; }
QPushButton[segment="true"] { border-radius: 6px; padding: 3px 10px; background: transparent;
    border: 1px solid transparent; color: @muted; }
QPushButton[segment="true"]:hover { color: @text; }
QPushButton[segment="true"]:checked { background: @pressed; color: @text; }
QPushButton[segment="true"]:focus { border: 1px solid @link; }
QToolButton[rail="true"] { border: 1px solid transparent; border-radius: 6px; padding: 8px 10px;
    text-align: left; color: @text; background: transparent; }
QToolButton[rail="true"]:hover { background: @hover; }
QToolButton[rail="true"]:checked { background: @selected; color: @link; font-weight: 600; }
QToolButton[rail="true"]:focus { border: 1px solid @link; }
QLabel[muted="true"] { color: @muted; }
QTabWidget::pane { border: none; }
QTabBar { background: transparent; }
QTabBar::tab { background: transparent; border: none; border-bottom: 2px solid transparent;
    padding: 6px 12px; color: @muted; }
QTabBar::tab:hover { color: @text; }
QTabBar::tab:selected { color: @text; border-bottom: 2px solid @link; font-weight: 600; }
QHeaderView { background: transparent; }
QHeaderView::section { background: transparent; color: @muted; border: none;
    border-bottom: 1px solid @border; padding: 4px 9px; }
QHeaderView::section:vertical { border: none; padding: 0px 8px; }
QTableCornerButton::section { background: transparent; border: none; }
QTableView::item { padding: 0px 6px; border: none; }
QAbstractScrollArea::corner { background: transparent; border: none; }
QScrollBar:vertical { background: transparent; width: 12px; margin: 0px; border: none; }
QScrollBar:horizontal { background: transparent; height: 12px; margin: 0px; border: none; }
QScrollBar::handle { background: @scroll; border-radius: 4px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: @disabled; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0px; height: 0px; border: none; background: none; }
QScrollBar::add-page, QScrollBar::sub-page { background: none; }
QProgressBar { background: @pressed; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: @link; border-radius: 3px; }
QSplitter::handle { background: transparent; }
QToolTip { background: @base; color: @text; border: 1px solid @border; padding: 4px; }
QStatusBar { background: @window; color: @muted; border-top: 1px solid @border; }
QStatusBar::item { border: none; }
QTableView, QListView, QTreeView { background: @base; border: none; outline: none;
    alternate-background-color: @alternate; selection-background-color: @selected;
    selection-color: @text; }
QScrollArea[plain="true"], QScrollArea[plain="true"] > QWidget > QWidget[plain="true"] {
    background: transparent; border: none; }
)";

QString styleSheet(const QPalette& p)
{
    const QColor text = p.color(QPalette::WindowText);
    const auto mixed = [&](double share) { return tint(p, text, share).name(); };
    const QList<std::pair<QString, QString>> values = {
        {u"@highlightHover"_s, p.color(QPalette::Highlight).lighter(112).name()},
        {u"@highlight"_s, p.color(QPalette::Highlight).name()},
        {u"@alternate"_s, p.color(QPalette::AlternateBase).name()},
        {u"@base"_s, p.color(QPalette::Base).name()},
        {u"@border"_s, p.color(QPalette::Mid).name()},
        {u"@button"_s, p.color(QPalette::Button).name()},
        {u"@disabled"_s, roleColor(p, ColorRole::Faint).name()},
        {u"@hover"_s, mixed(0.05)},
        {u"@pressed"_s, mixed(0.10)},
        {u"@scroll"_s, mixed(0.22)},
        {u"@selected"_s, tint(p, p.color(QPalette::Link), isDark(p) ? 0.24 : 0.12).name()},
        {u"@link"_s, p.color(QPalette::Link).name()},
        {u"@muted"_s, roleColor(p, ColorRole::Muted).name()},
        {u"@text"_s, text.name()},
        {u"@window"_s, p.color(QPalette::Window).name()},
    };
    QString sheet = QString::fromLatin1(kSheet);
    for (const auto& [name, value] : values) {
        sheet.replace(name, value);
    }
    return sheet;
}

} // namespace

QPalette lightPalette()
{
    return paletteOf(kLight);
}

QPalette darkPalette()
{
    return paletteOf(kDark);
}

bool isDark(const QPalette& palette)
{
    return palette.color(QPalette::Window).lightness() < 128;
}

QColor roleColor(const QPalette& palette, ColorRole role)
{
    const bool dark = isDark(palette);
    switch (role) {
    case ColorRole::Accent:
        return palette.color(QPalette::Link);
    case ColorRole::Good:
        return dark ? QColor(0x5c, 0xc8, 0x9a) : QColor(0x11, 0x71, 0x4a);
    case ColorRole::Caution:
        return dark ? QColor(0xe9, 0xb4, 0x4c) : QColor(0x8f, 0x57, 0x00);
    case ColorRole::Bad:
        return dark ? QColor(0xff, 0x8a, 0x80) : QColor(0xb3, 0x26, 0x1e);
    case ColorRole::Muted:
        return palette.color(QPalette::PlaceholderText);
    case ColorRole::Border:
        return palette.color(QPalette::Mid);
    case ColorRole::Faint:
        break;
    }
    return dark ? QColor(0x6b, 0x76, 0x84) : QColor(0x9a, 0xa4, 0xb1);
}

QColor tint(const QPalette& palette, const QColor& color, double share)
{
    const QColor base = palette.color(QPalette::Base);
    const auto mix = [share](int a, int b) { return static_cast<int>(a + (b - a) * share); };
    return QColor(mix(base.red(), color.red()), mix(base.green(), color.green()),
        mix(base.blue(), color.blue()));
}

QFont scaledFont(double factor, QFont::Weight weight)
{
    QFont font = QGuiApplication::font();
    font.setPointSizeF(font.pointSizeF() * factor);
    font.setWeight(weight);
    return font;
}

Theme::Theme(QApplication* application)
    : QObject(application)
    , m_application(application)
    , m_startedDark(isDark(QGuiApplication::palette()))
{
    QApplication::setStyle(new FieldStyle);
#if QT_VERSION >= QT_VERSION_CHECK(6, 5, 0)
    connect(QGuiApplication::styleHints(), &QStyleHints::colorSchemeChanged, this, &Theme::apply);
#endif
    apply();
}

void Theme::setChoice(ThemeChoice choice)
{
    if (choice != m_choice) {
        m_choice = choice;
        apply();
    }
}

bool Theme::systemIsDark() const
{
#if QT_VERSION >= QT_VERSION_CHECK(6, 5, 0)
    const auto scheme = QGuiApplication::styleHints()->colorScheme();
    if (scheme != Qt::ColorScheme::Unknown) {
        return scheme == Qt::ColorScheme::Dark;
    }
#endif
    return m_startedDark;
}

void Theme::apply()
{
    const bool dark =
        m_choice == ThemeChoice::Dark || (m_choice == ThemeChoice::System && systemIsDark());
    const QPalette palette = dark ? darkPalette() : lightPalette();
    QApplication::setPalette(palette);
    m_application->setStyleSheet(styleSheet(palette));
    Q_EMIT changed();
}

} // namespace bitsmith::ui
