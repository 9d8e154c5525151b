#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures Precis's ops beside ATen's own, both kept from AVX-512: builds the preset avx2 (minutes), writes a table and
# JSON. Fails if an op takes over 5 % longer than ATen (1), or if it cannot be measured.
#
#   tests/bench/without_avx512.sh --out tests/bench/results/ops-avx2-MACHINE
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" = --out ] && [ -n "${2:-}" ] || { echo "usage: $0 --out PATH-WITHOUT-SUFFIX" >&2; exit 2; }
cmake --preset avx2 > /dev/null
ninja -C build-avx2 -j2 ops_bench
slower=0
measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 build-avx2/tests/ops_bench > "$measured" || slower=$?
[ "$slower" -le 1 ] || exit "$slower"
cp "$measured" "$2.json"
.deps/venv/bin/python tests/bench/ops_table.py "$2.json" > "$2.md"
exit "$slower"
