// SPDX-License-Identifier: GPL-3.0-or-later
// Headers that most engine tests need. Engine headers come first in sources: Qt keywords are off.
#pragma once

#include <ATen/ATen.h>

#include <QtTest>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>
