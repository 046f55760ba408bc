#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes the tiny golden models that golden.model.decoder_parity compares with (about 10 MB, 10 s).
#
#   make_models.sh [FOLDER]
#
# FOLDER: default $BITSMITH_GOLDEN_MODELS, else golden-models in the cache. Needs the Python
# environment of packaging/venv.sh and make_tiny_models.py (BITSMITH_TINY_MODELS, default
# ../shared/tools beside the checkout). Where either is absent it says so, makes nothing and ends with
# 77: the test then skips. Models that are there are kept.
source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/lib.sh"
folder=${1:-${BITSMITH_GOLDEN_MODELS:-$cache_dir/golden-models}}
script=${BITSMITH_TINY_MODELS:-$repo_dir/../shared/tools/make_tiny_models.py}
families=(llama llama_tied_rope_llama3 llama_bias_linear llama_dynamic llama_yarn mistral mixtral
    qwen2 qwen2_sliding qwen3 qwen3_moe gemma gemma2 gemma3_text phi3 phi3_longrope gpt_oss)

missing=()
for family in "${families[@]}"; do
    [ -e "$folder/$family/golden.json" ] || missing+=("$family")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ ! -e "$script" ]; then
    say "golden models are not made: make_tiny_models.py is not beside the checkout"
    exit 77
fi
if ! "$packaging_dir/venv.sh" >/dev/null; then
    say "golden models are not made: their Python environment could not be made (see above)"
    exit 77
fi
mkdir -p "$folder"
list=$(IFS=,; echo "${missing[*]}")
exec "$packaging_dir/venv.sh" python "$script" --families "$list" --out "$folder" --check </dev/null
