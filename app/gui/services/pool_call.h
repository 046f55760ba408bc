// SPDX-License-Identifier: GPL-3.0-or-later
// Runs blocking work on a pool thread and brings the answer back to the window's thread.
#pragma once

#include <QCoreApplication>
#include <QMetaObject>
#include <QPointer>
#include <QThreadPool>

#include <utility>

namespace bitsmith::gui {

/// Calls `work()` on the global pool, then `done(result)` on the thread of the application, unless
/// `context` is gone by then. `work` must not throw and must not touch `context`.
template <class Work, class Done>
void callInPool(QObject* context, Work work, Done done)
{
    QPointer<QObject> guard(context);
    QThreadPool::globalInstance()->start([guard, work = std::move(work), done = std::move(done)] {
        auto result = work();
        // Delivered to the application object: the guard may only be read on its own thread.
        QMetaObject::invokeMethod(
            QCoreApplication::instance(),
            [guard, done, result = std::move(result)] {
                if (guard != nullptr) {
                    done(result);
                }
            },
            Qt::QueuedConnection);
    });
}

} // namespace bitsmith::gui
