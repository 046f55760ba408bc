// SPDX-License-Identifier: GPL-3.0-or-later
// Starts the window.
#include "app/gui/command_line.h"
#include "app/gui/main_window.h"
#include "app/gui/recorded_run.h"
#include "app/gui/screenshots.h"
#include "app/gui/translations.h"

#include <bitsmith/version.h>

#include <QApplication>

#include <cstdio>

namespace {

using namespace bitsmith;

QStringList argumentsOf(int argc, char** argv)
{
    QStringList words;
    for (int i = 0; i < argc; ++i) {
        words << QString::fromLocal8Bit(argv[i]);
    }
    return words;
}

int runWindow(QApplication& app, const gui::CommandLine& line)
{
    ui::Theme theme(&app);
    if (!line.screenshots.isEmpty()) {
        gui::writeScreenshots(
            theme, gui::readRecordedRun(gui::bundledRecording()), line.screenshots);
        return 0;
    }
    theme.setChoice(gui::AppSettings().theme());
    gui::MainWindow window(&theme, std::make_unique<gui::ThreadRunner>());
    window.startServices();
    window.show();
    for (const QString& path : line.paths) {
        window.openPath(path);
    }
    if (line.demo) {
        window.startDemo();
    }
    return QApplication::exec();
}

} // namespace

int main(int argc, char** argv)
{
    const gui::CommandLine line = gui::parseCommandLine(argumentsOf(argc, argv));
    if (!line.text.isEmpty()) {
        std::fputs(qPrintable(line.text), line.exitCode == 0 ? stdout : stderr);
        return line.exitCode;
    }
    if (!line.screenshots.isEmpty()) {
        qputenv("QT_QPA_PLATFORM", "offscreen");
    } else if (!gui::hasDisplay()) {
        std::fputs("bitsmith: no display; use bitsmith-cli, or --screenshots DIR\n", stderr);
        return 2;
    }
    QCoreApplication::setOrganizationName(QStringLiteral("Bitsmith"));
    QCoreApplication::setApplicationName(QStringLiteral("Bitsmith"));
    QCoreApplication::setApplicationVersion(QStringLiteral(BITSMITH_VERSION));
    QGuiApplication::setDesktopFileName(QStringLiteral("org.bitsmith.Bitsmith"));
    QApplication app(argc, argv);
    gui::installTranslations(app);
    try {
        return runWindow(app, line);
    } catch (const Error& error) {
        std::fprintf(stderr, "bitsmith: %s\n", error.what());
        return 1;
    }
}
