#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The Python environment of the interop tests with the packages of venv-NAME.txt before its own, made
# on demand in the cache folder: `venv_layer.sh NAME` makes them and prints their folder,
# `venv_layer.sh NAME COMMAND …` runs a command with them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

name=${1:?"usage: venv_layer.sh NAME [COMMAND …]"}
shift
pins=$packaging_dir/venv-$name.txt
[ -e "$pins" ] || die "there is no $pins" "name one of the files venv-*.txt"
venv_dir=$("$packaging_dir/venv.sh")
layer_dir=$cache_dir/venv-$name
stamp=$layer_dir/.$(cat "$packaging_dir/venv_layer.sh" "$pins" | sha256sum | cut -c1-16)

make_layer() {
    say "making the Python packages of $name"
    rm -rf "$layer_dir"
    # Those that come as sources build with the setuptools of the environment.
    "$venv_dir/bin/python" -m pip install --quiet --no-deps --no-build-isolation --require-hashes \
        --no-cache-dir --target "$layer_dir" -r "$pins" </dev/null >&2 ||
        die "Python packages could not be fetched" "check the network and pip's message above"
    # Kernels of attention, which nothing calls without a GPU: up to 1 GB each.
    find "$layer_dir" -name '*.so' -size +100M -delete
    touch "$stamp"
}

if [ ! -e "$stamp" ]; then
    lock_cache
    [ -e "$stamp" ] || make_layer
    unlock_cache
fi
if [ $# -eq 0 ]; then
    echo "$layer_dir"
    exit
fi
export PYTHONPATH=$layer_dir${PYTHONPATH:+:$PYTHONPATH}
exec "$packaging_dir/venv.sh" "$@" 9>&-
