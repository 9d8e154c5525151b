#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes for as long as asked, with other inputs each time:  tests/fuzz/run.sh [--seconds N | --runs N] [TARGET...]
# By default every target of this folder, 60 seconds each; as many at once as there are processors. Uses the preset "fuzz":
# AddressSanitizer, UndefinedBehaviorSanitizer, and inputs kept in build-fuzz/tests/fuzz/found where they take new ways
# through the code, for the next time. PRESET=release runs several times as many inputs a second, and sees less.
# With CXX=clang++-16 (or later) when build-fuzz is first made, libFuzzer is used.
set -euo pipefail
cd "$(dirname "$0")/../.."

limit=-max_total_time=60
case ${1:-} in
  --seconds) limit=-max_total_time=$2; shift 2 ;;
  --runs) limit=-runs=$2; shift 2 ;;
esac
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  targets=(bank chat_template checkpoint compressor_json config_json gguf json_lines memory_file recipe safetensors
           store_entry tokenizer_json tokenizer_model)
fi

preset=${PRESET:-fuzz}
cmake --preset "$preset" -DPRECIS_TESTS=ON
cmake --build --preset "$preset" --target fuzz
folder=build-$preset
if [ "$preset" = release ]; then folder=build; fi
build=$folder/tests/fuzz
export OMP_NUM_THREADS=1
"$build/make_fuzz_seeds" "$build/seeds"

fuzz_one() {
  local build=$1 limit=$2 target=$3 dictionary=$3
  case $target in
    bank | json_lines | recipe) dictionary=json ;;
    checkpoint | memory_file | store_entry) dictionary=safetensors ;;
  esac
  "$build/${target}_fuzz" "$limit" -seed="$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')" \
    -dict="tests/fuzz/dictionaries/$dictionary.dict" -artifact_prefix="$build/$target-" \
    "$build/found/$target" "$build/seeds/$target"
}
export -f fuzz_one
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz_one "$@"' _ "$build" "$limit" {}
