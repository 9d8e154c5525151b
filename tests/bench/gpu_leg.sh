#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Training on a machine with a GPU that is lent for minutes at a time: CUDA 13 and torch 2.11 are there, nothing else,
# and no network. Files travel in pieces.
#
#   here    tests/bench/gpu_leg.sh pack DIR PROGRAM FILE...   the program with its libraries, and FILEs: pieces in DIR
#   there   tests/bench/gpu_leg.sh unpack DIR                 as often as pieces come, in any order: files in $STAGE
#   there   tests/bench/gpu_leg.sh train OUT RUN MINUTES FLAG...
#               one leg of `precis train FLAG... --out $STAGE/RUN --minutes MINUTES`, run in $STAGE; what it made: pieces
#               in OUT. The next leg goes on from its checkpoint, as long as the machine is kept.
#   here    tests/bench/gpu_leg.sh collect OUT DIR            puts these together
set -euo pipefail
. "$(dirname "$0")/gpu_libraries.sh"

stage=${STAGE:-/tmp/precis-stage}
piece=48M    # on the way there
result=15M   # on the way back
fail() { printf 'gpu_leg.sh: %s\n' "$*" >&2; exit 2; }

pack() {
  local directory=$1 program=$2 scratch
  shift 2
  mkdir -p "$directory"
  rm -f "$directory"/*.piece* "$directory/manifest"
  scratch=$(mktemp -d)
  trap 'rm -r "$scratch"' RETURN
  mkdir "$scratch/lib"
  cp "$program" "$scratch/precis"
  own_libraries "$program" | xargs -I{} cp -L {} "$scratch/lib/"
  tar -C "$scratch" -cf "$scratch/program.tar" precis lib
  for file in "$scratch/program.tar" "$@"; do
    local name
    name=$(basename "$file")
    [ ! -e "$directory/$name.piece000" ] || fail "two files are named $name"
    split -b $piece -d -a 3 "$file" "$directory/$name.piece"
    (cd "$(dirname "$file")" && sha256sum "$name") >>"$directory/manifest"
  done
  ls -l "$directory"
}

unpack() {
  mkdir -p "$stage/pieces"
  cp "$1"/manifest "$1"/*.piece* "$stage/pieces/"
  local sum name
  while read -r sum name; do
    if echo "$sum  $stage/$name" | sha256sum --check --status 2>/dev/null; then continue; fi
    cat "$stage/pieces/$name".piece* >"$stage/joined" 2>/dev/null || { echo "pieces missing: $name"; continue; }
    # Until the last piece has come, the sum is another.
    echo "$sum  $stage/joined" | sha256sum --check --status || { echo "pieces missing: $name"; continue; }
    mv "$stage/joined" "$stage/$name"
    rm "$stage/pieces/$name".piece*
    [ "$name" != program.tar ] || tar -C "$stage" -xf "$stage/$name"
    echo "whole: $name"
  done <"$stage/pieces/manifest"
  rm -f "$stage/joined"
}

train() {
  local out run=$2 minutes=$3 given=("${@:4}") code=0
  out=$(realpath -m "$1")
  mkdir -p "$out"
  [ -x "$stage/precis" ] || fail "$stage has no program: unpack first"
  export LD_LIBRARY_PATH=$stage/lib:$(torch_libraries):${LD_LIBRARY_PATH:-}
  (cd "$stage" && ./precis train "${given[@]}" --out "$run" --minutes "$minutes") || code=$?
  # The checkpoint travels only where there is room; the best weights stand for the last ones.
  cd "$stage/$run" || return $code
  local made=() size
  for name in compressor.json recipe.json log.jsonl log.svg best; do
    [ ! -e $name ] || made+=($name)
  done
  [ -d best ] || [ ! -e compressor.safetensors ] || made+=(compressor.safetensors)
  [ ${#made[@]} -gt 0 ] || return $code
  if [ -e checkpoint.safetensors ]; then
    size=$(($(du -cbs "${made[@]}" checkpoint.safetensors | tail -1 | cut -f1) >> 20))
    [ $size -ge 56 ] || made+=(checkpoint.safetensors)
  fi
  tar -cf - "${made[@]}" | split -b $result -d -a 2 - "$out/$run.tar.piece"
  return $code
}

collect() {
  mkdir -p "$2"
  local run
  for first in "$1"/*.tar.piece00; do
    run=$(basename "$first" .tar.piece00)
    rm -rf "${2:?}/$run"  # of an earlier leg
    mkdir -p "$2/$run"
    cat "$1/$run".tar.piece* | tar -C "$2/$run" -xf -
    echo "$2/$run"
  done
}

case "${1:-}" in
  pack) [ $# -ge 3 ] || fail "pack DIR PROGRAM FILE..."; pack "${@:2}" ;;
  unpack) [ $# = 2 ] || fail "unpack DIR"; unpack "$2" ;;
  train) [ $# -ge 5 ] || fail "train OUT RUN MINUTES FLAG..."; train "${@:2}" ;;
  collect) [ $# = 3 ] || fail "collect OUT DIR"; collect "$2" "$3" ;;
  *) fail "pack, unpack, train or collect" ;;
esac
