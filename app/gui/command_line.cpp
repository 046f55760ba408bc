// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/command_line.h"

#include <bitsmith/version.h>

#include <QtGlobal>

using namespace Qt::StringLiterals;

namespace bitsmith::gui {

namespace {

constexpr int kUsageError = 2;

QString helpText()
{
    return QString::fromUtf8(
        "Usage: bitsmith [options] [RUN|JOB|MODEL ...]\n"
        "Quantizes language models and shows what happens inside.\n"
        "\n"
        "RUN is a run folder, JOB a *.bitsmith.json file, MODEL a model folder, a .gguf file or a "
        "Hub id.\n"
        "\n"
        "Options:\n"
        "  --demo             start the demonstration job at once\n"
        "  --screenshots DIR  write pictures of every page in both themes to DIR and exit; needs "
        "no "
        "display\n"
        "  -h, --help         show this text\n"
        "  -v, --version      show the version\n");
}

CommandLine usageError(const QString& what)
{
    CommandLine line;
    line.text = QString(u"bitsmith: "_s + what + u"\n"_s + u"Try 'bitsmith --help'.\n"_s);
    line.exitCode = kUsageError;
    return line;
}

CommandLine printed(const QString& text)
{
    CommandLine line;
    line.text = text;
    return line;
}

} // namespace

CommandLine parseCommandLine(const QStringList& arguments)
{
    CommandLine line;
    bool onlyPaths = false;
    for (qsizetype i = 1; i < arguments.size(); ++i) {
        const QString& word = arguments[i];
        if (onlyPaths || !word.startsWith(QLatin1Char('-'))) {
            line.paths << word;
        } else if (word == "--"_L1) {
            onlyPaths = true;
        } else if (word == "--demo"_L1) {
            line.demo = true;
        } else if (word == "--help"_L1 || word == "-h"_L1) {
            return printed(helpText());
        } else if (word == "--version"_L1 || word == "-v"_L1) {
            return printed(QStringLiteral("bitsmith " BITSMITH_VERSION "\n"));
        } else if (word == "--screenshots"_L1) {
            if (i + 1 >= arguments.size()) {
                return usageError(u"--screenshots needs a folder"_s);
            }
            line.screenshots = arguments[++i];
        } else if (word.startsWith("--screenshots="_L1)) {
            line.screenshots = word.section(QLatin1Char('='), 1);
        } else {
            return usageError(QString(u"unknown option "_s + word));
        }
    }
    return line;
}

bool hasDisplay()
{
#ifdef Q_OS_LINUX
    return qEnvironmentVariableIsSet("DISPLAY") || qEnvironmentVariableIsSet("WAYLAND_DISPLAY")
        || qEnvironmentVariableIsSet("QT_QPA_PLATFORM");
#else
    return true;
#endif
}

} // namespace bitsmith::gui
