#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs a script in the Python environment of the interop tests; 77 when that cannot be had.
set -uo pipefail
venv=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../packaging" && pwd)/venv.sh
if ! "$venv" > /dev/null; then
    echo "skipped: the Python environment of the interop tests could not be made (see above)"
    exit 77
fi
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TOKENIZERS_PARALLELISM=false
exec "$venv" python "$@"
