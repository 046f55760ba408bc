// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments of the window's program.
#pragma once

#include <QString>
#include <QStringList>

namespace bitsmith::gui {

struct CommandLine
{
    QStringList paths; ///< runs, job files, models
    bool demo = false;
    QString screenshots; ///< folder; empty: the window opens
    QString text; ///< to print instead of starting: help, version or an error
    int exitCode = 0; ///< with `text`
};

/// Needs no display. `arguments` starts with the program's name.
CommandLine parseCommandLine(const QStringList& arguments);

/// May a window be opened? Qt ends the program with abort() when no display answers.
bool hasDisplay();

} // namespace bitsmith::gui
