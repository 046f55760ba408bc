#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs a script in the Python environment of the interop tests, test_NAME.py with the packages of
# packaging/venv-NAME.txt where there are some; 77 when the environment cannot be had.
set -uo pipefail
packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../packaging" && pwd)
name=$(basename "$1" .py)
name=${name#test_}
environment=("$packaging/venv.sh")
[ -e "$packaging/venv-$name.txt" ] && environment=("$packaging/venv_layer.sh" "$name")
if ! "${environment[@]}" > /dev/null; then
    echo "skipped: the Python environment of the interop tests could not be made (see above)"
    exit 77
fi
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=warning TOKENIZERS_PARALLELISM=false
export OMP_WAIT_POLICY=passive # see packaging/cmake/BitsmithTests.cmake
exec "${environment[@]}" python "$@"
