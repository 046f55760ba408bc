// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/services/device_list.h"

#include "app/gui/services/pool_call.h"

namespace bitsmith::gui {

void findDevices(QObject* context, std::function<void(const std::vector<DeviceInfo>&)> done)
{
    callInPool(
        context, [] { return list_devices(); }, std::move(done));
}

} // namespace bitsmith::gui
