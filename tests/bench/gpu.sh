#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests and measures a CUDA build on a machine with a GPU that has CUDA 13.0 and torch 2.11.0, but no compiler's time to lose
# and no network: binaries are built elsewhere and copied, with this checkout beside them.
#
#   here    tests/bench/gpu.sh pack DIR [BUILD]    precis, gpu_test, gpu_bench of BUILD (build-cuda) with their libraries
#   there   tests/bench/gpu.sh run DIR OUT         all of it, within ten minutes; what is measured lands in OUT
#
# Everything is measured in one run, transformers where it is installed too. Times of ops are CUDA events'. OUT/README.md has the
# tables, OUT/failed what went wrong.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/bench/gpu_libraries.sh

fail() { printf 'gpu.sh: %s\n' "$*" >&2; exit 2; }

pack() {
  local directory=$1 build=${2:-build-cuda} program
  mkdir -p "$directory/lib"
  for program in precis tests/gpu_test tests/gpu_bench; do
    [ -x "$build/$program" ] || fail "$build/$program is not built"
    cp "$build/$program" "$directory/"
    strip "$directory/$(basename "$program")"
    own_libraries "$build/$program" | xargs -I{} cp -L {} "$directory/lib/"
  done
  du -sh "$directory"
}

# What it prints into a file; a failure is written down and does not end the rest. Nothing runs beyond the ten minutes.
step() {
  local seconds=$1 file=$2 left=$((started + 570 - SECONDS))
  shift 2
  echo "gpu.sh: $*"
  [ $left -ge 5 ] || { echo "gpu.sh: no time left for: $*" | tee -a "$out/failed"; return; }
  timeout $((seconds < left ? seconds : left)) "$@" >"$out/$file" 2>"$out/${file%.*}.err" ||
    echo "gpu.sh: exit code $? of: $*" | tee -a "$out/failed"
}

# precis bench of a shape.
bench() {
  local seconds=$1 file=$2 shape=$3
  step "$seconds" "$file" "$directory/precis" bench --device cuda --shape "$shape" --runs 3 --json "${@:4}"
}

# Compressing as IC-Former's Table 1, ours and as the published scripts do it.
compressors() {
  local shape=$1 method sizes
  for method in ic-former "ic-former --token-table" icae; do
    for sizes in "8 512,2048" "32 512"; do
      set -- $sizes
      bench 60 "compress-$shape-${method// --/-}-${1}x${2/,/-}.json" "$shape" --method $method --batch "$1" --sweep "$2" --prefill 16 --decode 1
    done
  done
  step 90 "published-compressors-$shape.json" python3 tests/bench/gpu_compressors.py --shape "$shape"
}

run() {
  local directory started=$SECONDS
  directory=$(realpath "$1")
  mkdir -p "$2"
  out=$(realpath "$2")
  export LD_LIBRARY_PATH=$directory/lib:$(torch_libraries):${LD_LIBRARY_PATH:-}
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv >"$out/device.txt"
  # Dozens of programs, each of which starts the GPU anew, come last.
  step 150 tests.txt "$directory/gpu_test" --gtest_filter=-*CommandsOnGpu*:*MethodsOnGpu*
  step 90 ops.json "$directory/gpu_bench"
  local shape weights
  for shape in llama-2-7b smollm2-135m; do
    for weights in bfloat16 int8 int4; do
      bench 60 "bench-$shape-$weights.json" $shape --weights $weights --prefill 512,2048 --decode 128
    done
    bench 60 "batch-$shape.json" $shape --batch 16 --prefill 16 --decode 128
    step 90 "transformers-$shape.json" python3 tests/bench/gpu_transformers.py --shape $shape
    compressors $shape
  done
  step 400 commands.txt "$directory/gpu_test" --gtest_filter=*CommandsOnGpu*:*MethodsOnGpu*
  python3 tests/bench/gpu_table.py "$out" | tee "$out/README.md"
  [ ! -e "$out/failed" ]
}

case "${1:-}" in
  pack) [ $# -ge 2 ] || fail "pack DIR [BUILD]"; pack "${@:2}" ;;
  run) [ $# = 3 ] || fail "run DIR OUT"; run "$2" "$3" ;;
  *) fail "pack or run" ;;
esac
