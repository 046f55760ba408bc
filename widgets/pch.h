// SPDX-License-Identifier: GPL-3.0-or-later
// Headers that most widgets need.
#pragma once

#include <bitsmith/event.h>
#include <bitsmith/job_spec.h>

#include <QtWidgets>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>
