// SPDX-License-Identifier: Apache-2.0
#include "cli/version.h"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <string>

#include "base/check.h"
#include "base/processor.h"
#include "precis_commit.h"

namespace precis::cli {
namespace {

// The instruction set of our kernels: the best that they are compiled for and the processor has.
std::string instruction_set() {
  if (!__builtin_cpu_supports("avx2")) return "x86-64";
  if (!__builtin_cpu_supports("avx512bw")) return "AVX2";
  std::string set = "AVX-512";
  if (__builtin_cpu_supports("avx512vnni")) set += " VNNI";
  if (processor_has_bfloat16()) set += " BF16";
  if (__builtin_cpu_supports("amx-tile")) set += ", AMX";
  return set;
}

}  // namespace

std::string version_text() {
  return concat("precis ",
                PRECIS_VERSION,
                "\ncommit ",
                PRECIS_COMMIT,
                "\nlibtorch ",
                TORCH_VERSION,
                at::hasCUDA() ? ", with a GPU" : ", CPU only",
                "\ninstruction set ",
                instruction_set(),
                " (libtorch: ",
                at::get_cpu_capability(),
                ")");
}

}  // namespace precis::cli
