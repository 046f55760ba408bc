#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Sets up, builds and runs all tests; ends with ctest's summary. Arguments go to ctest.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
set_up
build dev
cd "$repo_dir"
exec ctest --preset all "$@"
