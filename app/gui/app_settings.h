// SPDX-License-Identifier: GPL-3.0-or-later
// What the window remembers between starts. Nothing here is needed to open a run.
#pragma once

#include "widgets/theme/theme.h"

#include <QByteArray>
#include <QSettings>
#include <QStringList>

namespace bitsmith::gui {

class AppSettings
{
public:
    ui::ThemeChoice theme() const;
    void setTheme(ui::ThemeChoice choice);
    QByteArray geometry() const;
    void setGeometry(const QByteArray& geometry);
    QStringList recentModels() const;
    void addRecentModel(const QString& path);

private:
    QSettings m_settings;
};

} // namespace bitsmith::gui
