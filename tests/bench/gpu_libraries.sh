# SPDX-License-Identifier: Apache-2.0
# For gpu.sh and gpu_leg.sh: libraries of programs that are built on one machine and run on another.

# Of a program, those that no machine has by itself. Those of torch and CUDA are there.
own_libraries() {
  ldd "$1" | awk '/sentencepiece|utf8proc|pcre2|xxhash|zstd|spdlog|libfmt|protobuf|libhwy|tcmalloc|gtest|gmock/ {print $3}'
}

# Of torch's wheel and of the CUDA wheels beside it.
torch_libraries() {
  python3 -c 'import glob, os, torch
root = os.path.dirname(torch.__file__)
print(":".join([os.path.join(root, "lib"), *glob.glob(os.path.join(root, "..", "nvidia", "*", "lib"))]))'
}
