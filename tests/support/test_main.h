// SPDX-License-Identifier: GPL-3.0-or-later
// A test class lives in one source file:
//
//     class FooTest : public QObject { Q_OBJECT private Q_SLOTS: void doesThis(); };
//     ...
//     BITSMITH_TEST(FooTest)
//     #include "foo_test.moc"
//
// and is registered with bitsmith_add_test (packaging/cmake/BitsmithTests.cmake).
#pragma once

class QObject;

struct TestClass
{
    const char* name;
    QObject* (*make)();
};

extern const TestClass kTestClasses[]; ///< ends with a null name

#define BITSMITH_TEST(Class)                                                                       \
    QObject* make_##Class();                                                                       \
    QObject* make_##Class()                                                                        \
    {                                                                                              \
        return new Class;                                                                          \
    }
