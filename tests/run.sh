#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs all tests.  tests/run.sh [PRESET]   (release, asan, tsan, fuzz, cuda; default release)
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

if [ "$preset" = cuda ]; then third_party/install.sh --cuda --tests; else third_party/install.sh --tests; fi
cmake --preset "$preset" -DPRECIS_TESTS=ON  # the quickstart leaves it off in the same folder
cmake --build --preset "$preset"
ctest --preset "$preset" --no-tests=error -j "$(nproc)"
