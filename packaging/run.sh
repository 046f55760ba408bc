#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Sets up, builds, and runs the main job. With arguments: bitsmith-cli with these arguments.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
set_up
build dev
cli=$repo_dir/build/dev/app/cli/bitsmith-cli
window=$repo_dir/build/dev/app/gui/bitsmith
if [ $# -gt 0 ]; then
    exec "$cli" "$@"
fi
if [ -x "$window" ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    exec "$window" --demo
fi
exec "$cli" demo
