#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up llama.cpp (out of the llama-cpp-python source package), OpenVINO GenAI and transformers, and measures them beside a
# build of Precis on the same weights. Options are those of compare_peers.py.
#
#   tests/bench/peers.sh --out tests/bench/results/peers-MACHINE [--rounds N] [--runs N] [--prefill N...] [--decode N]
#
# Beside other work: --busy starts two endless loops on two cores (--busy N: N of them), measures Precis and llama.cpp with one
# thread and with one for each core in turns, and compares the two; the loops end with the program, however it ends.
#
#   tests/bench/peers.sh --busy --prefill 512 [--threads N...] [--programs "precis bf" "llama.cpp" OpenVINO...] [--out ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
version=0.3.36 peers=.deps/peers model=.deps/models/smollm2-135m-instruct.gguf
openvino_pins=(openvino==2026.4.1 openvino-genai==2026.4.1.0 openvino-tokenizers==2026.4.1.0 numpy==2.4.6)
source=$peers/llama_cpp_python-$version/vendor/llama.cpp
[ -x build/precis ] || { echo "build Precis first: README.md, \"Quick start\"" >&2; exit 1; }
third_party/install.sh --oracles

build_llama() {  # folder, more options of cmake...
  local build=$1
  shift
  [ -x "$build/bin/llama-bench" ] && [ -x "$build/bin/llama-quantize" ] && return
  if [ ! -d "$source" ]; then
    mkdir -p $peers
    .deps/venv/bin/pip download --disable-pip-version-check --no-deps --no-binary llama-cpp-python -d $peers "llama-cpp-python==$version"
    tar -xzf $peers/llama_cpp_python-$version.tar.gz -C $peers
  fi
  cmake -G Ninja -S "$source" -B "$build" -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF \
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF "$@"
  ninja -C "$build" -j2 llama-bench llama-quantize
}

# --- OpenVINO GenAI, in a Python environment of its own ----------------------------------------------------------------
openvino=$peers/openvino
if [ "$(cat $openvino/.pins 2>/dev/null)" != "${openvino_pins[*]}" ]; then
  mkdir -p $peers
  .deps/venv/bin/python -m venv $openvino
  $openvino/bin/pip install --disable-pip-version-check "${openvino_pins[@]}"
  echo "${openvino_pins[*]}" >$openvino/.pins
fi

# --- llama.cpp, and the model in its formats ---------------------------------------------------------------------------
build_llama $peers/build
for format in F32 F16 BF16 Q8_0; do  # F16: for OpenVINO, which does not read BF16
  [ -f "$peers/smollm2.$format.gguf" ] && continue
  $peers/build/bin/llama-quantize --allow-requantize $model "$peers/smollm2.$format.part" $format >/dev/null
  mv "$peers/smollm2.$format.part" "$peers/smollm2.$format.gguf"
done
ln -sf "$PWD/$model" $peers/smollm2.Q4_1.gguf  # as published

# On some machines its AMX code crashes on weights of 8 and 4 bits (ggml-org/llama.cpp issue 20824). It is chosen when llama.cpp
# is built, so formats on which it crashes are measured with a second build: everything else that such processors have.
llama=() without_amx=()
for format in F32 BF16 Q8_0 Q4_1; do
  file=$peers/smollm2.$format.gguf build=$peers/build
  if grep -qw amx_int8 /proc/cpuinfo && ! $build/bin/llama-bench -m "$file" -p 512 -n 4 -r 1 >/dev/null 2>&1; then
    build=$peers/build-no-amx
    build_llama $build -DGGML_NATIVE=OFF -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON
    without_amx+=("$format")
  fi
  llama+=(--llama "$build/bin/llama-bench" "$file")
done
said=$version${without_amx[*]:+" (${without_amx[*]}: without AMX)"}

exec .deps/venv/bin/python tests/bench/compare_peers.py --precis build/precis --model $model \
  "${llama[@]}" --llama-version "$said" --openvino-python $openvino/bin/python \
  --openvino-models $peers/smollm2.{F16,Q8_0,Q4_1}.gguf --openvino-version 2026.4.1.0 "$@"
