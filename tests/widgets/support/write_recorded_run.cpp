// SPDX-License-Identifier: GPL-3.0-or-later
// Writes the scripted run as JSON lines to standard output: how resources/recorded-run.jsonl is made.
#include "tests/widgets/support/recorded_run.h"

#include <bitsmith/spec_json.h>

#include <cstdio>

int main()
{
    for (const bitsmith::Event& event : bitsmith::testing::scriptedRun()) {
        std::puts(bitsmith::to_json_line(event).c_str());
    }
    return 0;
}
