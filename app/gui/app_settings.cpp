// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/app_settings.h"

using namespace Qt::StringLiterals;

namespace bitsmith::gui {

namespace {

constexpr int kRecentModels = 10;

} // namespace

ui::ThemeChoice AppSettings::theme() const
{
    const QString word = m_settings.value(u"theme"_s).toString();
    return word == "light"_L1 ? ui::ThemeChoice::Light
        : word == "dark"_L1   ? ui::ThemeChoice::Dark
                              : ui::ThemeChoice::System;
}

void AppSettings::setTheme(ui::ThemeChoice choice)
{
    m_settings.setValue(u"theme"_s,
        choice == ui::ThemeChoice::Light      ? u"light"_s
            : choice == ui::ThemeChoice::Dark ? u"dark"_s
                                              : u"system"_s);
}

QByteArray AppSettings::geometry() const
{
    return m_settings.value(u"geometry"_s).toByteArray();
}

void AppSettings::setGeometry(const QByteArray& geometry)
{
    m_settings.setValue(u"geometry"_s, geometry);
}

QStringList AppSettings::recentModels() const
{
    return m_settings.value(u"recentModels"_s).toStringList();
}

void AppSettings::addRecentModel(const QString& path)
{
    QStringList paths = recentModels();
    paths.removeAll(path);
    paths.prepend(path);
    while (paths.size() > kRecentModels) {
        paths.removeLast();
    }
    m_settings.setValue(u"recentModels"_s, paths);
}

} // namespace bitsmith::gui
