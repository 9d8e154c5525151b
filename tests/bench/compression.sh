#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up transformers and measures a build of Precis: what compressing costs, what a memory saves, and ICAE beside its
# published way. Options are those of compare_compression.py.
#
#   tests/bench/compression.sh --out tests/bench/results/compression-MACHINE [--rounds N] [--runs N] [--lengths N...]
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -x build/precis ] || { echo "build Precis first: README.md, \"Quick start\"" >&2; exit 1; }
third_party/install.sh --oracles
.deps/venv/bin/python tests/bench/compare_compression.py --precis build/precis --model .deps/models/smollm2-135m-instruct.gguf \
  --compressors examples/compressors/smollm2-135m-instruct "$@"
