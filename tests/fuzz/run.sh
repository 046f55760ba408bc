#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# run.sh TARGET SECONDS [BUILD]: fuzzes one reader from its seeds and what earlier runs found worth
# keeping (BUILD/tests/fuzz/found/TARGET). A finding ends the run with its input in the same folder's
# crash-..., timeout-..., oom-... Once mended, the input becomes a seed regression_... in
# make_corpus.py.
#
#   cmake -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DBITSMITH_BUILD_FUZZ=ON \
#       -DBITSMITH_BUILD_GUI=OFF -DBITSMITH_BUILD_CLI=OFF
#   for target in checkpoint config gguf gguf_text imatrix name_pattern safetensors; do
#       cmake --build build/fuzz --target fuzz_$target && tests/fuzz/run.sh $target 600; done
set -eu
if [ $# -lt 2 ]; then
    echo "usage: run.sh TARGET SECONDS [BUILD]" >&2
    exit 2
fi
target=$1 seconds=$2
build=${3:-"$(cd "$(dirname "$0")/../.." && pwd)/build/fuzz"}/tests/fuzz
found=$build/found/$target
mkdir -p "$found"
# A reader may hold what a file stores, not what it states: 64 MiB for 64 KiB of input.
export OMP_NUM_THREADS=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 ASAN_OPTIONS=detect_leaks=0
exec "$build/fuzz_$target" -max_total_time="$seconds" -max_len=65536 -timeout=20 -detect_leaks=0 \
    -malloc_limit_mb=64 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$found/" "$found" "$build/corpus/$target"
