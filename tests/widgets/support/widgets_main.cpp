// SPDX-License-Identifier: GPL-3.0-or-later
// main() of the widget tests: an application on the offscreen platform with settings of its own,
// then the test class named by the first argument, or all of them.
#include "support/test_main.h"
#include "widgets/theme/theme.h"

#include <QApplication>
#include <QSettings>
#include <QStandardPaths>
#include <QTemporaryDir>
#include <QtTest>

#include <cstdio>
#include <memory>

int main(int argc, char** argv)
{
    if (!qEnvironmentVariableIsSet("QT_QPA_PLATFORM")) {
        qputenv("QT_QPA_PLATFORM", "offscreen");
    }
    QStandardPaths::setTestModeEnabled(true);
    QCoreApplication::setOrganizationName(QStringLiteral("bitsmith-tests"));
    QCoreApplication::setApplicationName(QStringLiteral("bitsmith-widgets-tests"));
    QApplication application(argc, argv);
    const QTemporaryDir settings;
    QSettings::setDefaultFormat(QSettings::IniFormat);
    QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, settings.path());
    qputenv("BITSMITH_RUNS", settings.filePath(QStringLiteral("runs")).toLocal8Bit());
    QLocale::setDefault(QLocale::c());
    const bitsmith::ui::Theme theme(&application);
    QStringList arguments = QCoreApplication::arguments();
    const bool all = arguments.size() < 2 || arguments[1].startsWith(QLatin1Char('-'));
    const QString wanted = all ? QString() : arguments.takeAt(1);
    int failures = 0, run = 0;
    for (const TestClass* entry = kTestClasses; entry->name != nullptr; ++entry) {
        if (all || wanted == QLatin1String(entry->name)) {
            const std::unique_ptr<QObject> test(entry->make());
            failures += QTest::qExec(test.get(), arguments);
            ++run;
        }
    }
    if (run == 0) {
        std::fprintf(stderr, "no test class of this name\n");
        return 1;
    }
    return failures == 0 ? 0 : 1;
}
