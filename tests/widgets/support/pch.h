// SPDX-License-Identifier: GPL-3.0-or-later
// Headers that most widget tests need.
#pragma once

#include <bitsmith/event.h>
#include <bitsmith/job_spec.h>

#include <QtTest>
#include <QtWidgets>
