#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Python environment of the interop tests, made on demand in the cache folder; torch is the one that
# LibTorch comes from. `venv.sh` makes it and prints its folder; `venv.sh COMMAND …` runs a command
# in it, for example `packaging/venv.sh python script.py`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

venv_dir=$cache_dir/venv
stamp=$venv_dir/.$(cat "$packaging_dir"/{venv.sh,venv-requirements.txt,cuda_stubs.py} | sha256sum | cut -c1-16)

make_venv() {
    local python
    for python in "${BITSMITH_PYTHON:-/usr/bin/python3}" python3.11 python3; do
        "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' \
            2>/dev/null && break
        python=
    done
    [ -n "$python" ] || die "CPython 3.11 with venv was not found" "install python3.11-venv, or set BITSMITH_PYTHON"
    say "making the Python environment of the interop tests"
    # Cleared: an environment made by another Python would mix the libraries of both.
    "$python" -m venv --clear "$venv_dir" >&2
    "$venv_dir/bin/python" -m pip install --quiet --no-deps --require-hashes --only-binary=:all: \
        -r "$packaging_dir/venv-requirements.txt" </dev/null >&2 ||
        die "Python packages could not be fetched" "check the network and pip's message above"
    "$venv_dir/bin/python" "$packaging_dir/cuda_stubs.py" "$torch_dir" \
        "$venv_dir"/lib/python3.11/site-packages >&2
    "$venv_dir/bin/python" -c 'import torch, transformers' >&2 ||
        die "torch does not load in the Python environment" "remove $venv_dir and run this again"
    touch "$stamp"
}

if [ ! -e "$stamp" ]; then
    [ -z "${BITSMITH_TORCH_ROOT:-}" ] || say "the Python environment uses its own torch"
    lock_cache
    BITSMITH_TORCH_ROOT= fetch_torch
    [ -e "$stamp" ] || make_venv
    unlock_cache
fi
if [ $# -eq 0 ]; then
    echo "$venv_dir"
    exit
fi
export PATH=$venv_dir/bin:$PATH VIRTUAL_ENV=$venv_dir
exec "$@" 9>&-
