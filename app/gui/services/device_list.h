// SPDX-License-Identifier: GPL-3.0-or-later
// Looks devices up on a pool thread: loading CUDA takes a moment.
#pragma once

#include <bitsmith/device.h>

#include <QObject>

#include <functional>

namespace bitsmith::gui {

/// Calls `done` on the window's thread, unless `context` is gone by then.
void findDevices(QObject* context, std::function<void(const std::vector<DeviceInfo>&)> done);

} // namespace bitsmith::gui
