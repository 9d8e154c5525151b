#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build and lets another project find it, build against it and run.  check_package.sh BUILD MODEL
set -euo pipefail
build=$1 model=$2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$build" --prefix "$scratch/prefix" >"$scratch/install.log"
cmake -S "$here" -B "$scratch/build" -G Ninja -DCMAKE_PREFIX_PATH="$scratch/prefix" "${@:3}" >"$scratch/configure.log"
cmake --build "$scratch/build"
[ "$("$scratch/build/consumer" "$model")" = 4 ]
mkdir "$scratch/compressor"
echo '{"format": 1, "method": "mean_pooling"}' >"$scratch/compressor/compressor.json"
[[ $("$scratch/build/own_compressor" "$model" "$scratch/compressor" "the water of the town") == *" tokens became "* ]]
"$scratch/prefix/bin/precis" --version
