// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/launches.cuh"

namespace precis::kernels {
namespace {

const char* error() {
  const cudaError_t code = cudaGetLastError();
  return code == cudaSuccess ? nullptr : cudaGetErrorString(code);
}

}  // namespace

const CudaKernelTable* cuda() {
  static constexpr CudaKernelTable kTable = launches::table(error);
  return &kTable;
}

}  // namespace precis::kernels
