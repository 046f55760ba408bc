// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the test class named by the first argument; the others go to Qt Test. Without a name: all
// classes.
#include "support/test_main.h"

#include <QtTest>

#include <cstdio>
#include <cstring>
#include <memory>

int main(int argc, char** argv)
{
    const bool all = argc < 2 || argv[1][0] == '-';
    int failures = 0, run = 0;
    for (const TestClass* entry = kTestClasses; entry->name != nullptr; ++entry) {
        if (!all && std::strcmp(entry->name, argv[1]) != 0) {
            continue;
        }
        const std::unique_ptr<QObject> test(entry->make());
        const int skip = all ? 0 : 1;
        QStringList arguments;
        for (int i = 0; i < argc; ++i) {
            if (i != skip || all) {
                arguments << QString::fromLocal8Bit(argv[i]);
            }
        }
        failures += QTest::qExec(test.get(), arguments);
        ++run;
    }
    if (run == 0) {
        std::fprintf(stderr, "no test class of this name\n");
        return 1;
    }
    return failures == 0 ? 0 : 1;
}
