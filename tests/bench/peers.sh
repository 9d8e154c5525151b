#!/usr/bin/env bash
# Sets up llama.cpp (out of the llama-cpp-python source package) and transformers, and measures them beside a build of Precis
# on the same weights. Options are those of compare_peers.py.
#
#   tests/bench/peers.sh --out tests/bench/results/peers-MACHINE [--rounds N] [--runs N] [--prefill N...] [--decode N]
set -euo pipefail
cd "$(dirname "$0")/../.."
version=0.3.36 peers=.deps/peers model=.deps/models/smollm2-135m-instruct.gguf
build=$peers/build said=$version native=()
if grep -qw amx_int8 /proc/cpuinfo; then
  # Its AMX code crashes on weights of 8 and 4 bits (ggml-org/llama.cpp issue 20824): everything else that such processors have.
  native=(-DGGML_NATIVE=OFF -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON)
  build=$peers/build-no-amx said="$version without AMX"
fi
[ -x build/precis ] || { echo "build Precis first: README.md, \"Start\"" >&2; exit 1; }
third_party/install.sh --oracles

if [ ! -x $build/bin/llama-bench ] || [ ! -x $build/bin/llama-quantize ]; then
  mkdir -p $peers
  .deps/venv/bin/pip download --disable-pip-version-check --no-deps --no-binary :all: -d $peers "llama-cpp-python==$version"
  tar -xzf $peers/llama_cpp_python-$version.tar.gz -C $peers
  cmake -G Ninja -S $peers/llama_cpp_python-$version/vendor/llama.cpp -B $build -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF \
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF "${native[@]}"
  ninja -C $build -j2 llama-bench llama-quantize
fi
formats=()
for format in F32 BF16 Q8_0; do
  formats+=("$peers/smollm2.$format.gguf")
  [ -f "$peers/smollm2.$format.gguf" ] ||
    $build/bin/llama-quantize --allow-requantize $model "$peers/smollm2.$format.gguf" $format >/dev/null
done
ln -sf "$PWD/$model" $peers/smollm2.Q4_1.gguf  # as published
.deps/venv/bin/python tests/bench/compare_peers.py --precis build/precis --model $model \
  --llama-bench $build/bin/llama-bench --llama-models "${formats[@]}" $peers/smollm2.Q4_1.gguf --llama-version "$said" "$@"
