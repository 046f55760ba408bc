#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes the tiny golden models that golden.model.decoder_parity compares with (about 10 MB, 10 s).
#
#   make_models.sh [FOLDER]
#
# FOLDER: default $BITSMITH_GOLDEN_MODELS, else golden-models in the cache. Needs the Python
# environment of packaging/venv.sh and make_tiny_models.py (BITSMITH_TINY_MODELS, default
# ../shared/tools beside the checkout). Where either is absent it says so and makes nothing: the test
# then skips. Models that are there are kept.
set -euo pipefail
repo_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache_dir=${BITSMITH_CACHE:-$HOME/.cache/bitsmith}
folder=${1:-${BITSMITH_GOLDEN_MODELS:-$cache_dir/golden-models}}
script=${BITSMITH_TINY_MODELS:-$repo_dir/../shared/tools/make_tiny_models.py}
python=${BITSMITH_VENV_PYTHON:-$cache_dir/venv/bin/python}
families=(llama llama_tied_rope_llama3 llama_bias_linear llama_dynamic llama_yarn mistral mixtral
    qwen2 qwen2_sliding qwen3 qwen3_moe gemma gemma2 gemma3_text phi3 phi3_longrope gpt_oss)

for needed in "$script" "$python"; do
    if [ ! -e "$needed" ]; then
        echo "golden models are not made: $needed is absent" >&2
        exit 0
    fi
done
missing=()
for family in "${families[@]}"; do
    [ -e "$folder/$family/golden.json" ] || missing+=("$family")
done
[ ${#missing[@]} -eq 0 ] && exit 0
mkdir -p "$folder"
list=$(IFS=,; echo "${missing[*]}")
exec "$python" "$script" --families "$list" --out "$folder" --check </dev/null
