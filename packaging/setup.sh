#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Brings everything that building needs: Debian packages, LibTorch, the demo model. Idempotent.
# Settings from the environment: BITSMITH_CACHE, BITSMITH_CUDA=0|1, BITSMITH_TORCH_ROOT,
# BITSMITH_HF_LIB, BITSMITH_PYTHON.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
set_up
