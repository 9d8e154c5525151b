// SPDX-License-Identifier: Apache-2.0
// Launches: which kernel, on how many blocks. What the kernels do is in the .cuh files.
#include <algorithm>
#include <initializer_list>
#include <numeric>

#include "kernels/cuda/decode_attention.cuh"
#include "kernels/cuda/gated_activation.cuh"
#include "kernels/cuda/rms_norm.cuh"
#include "kernels/cuda/rotary.cuh"
#include "kernels/cuda/sample.cuh"
#include "kernels/cuda/weight_only_linear.cuh"
#include "kernels/cuda_kernels.h"

namespace precis::kernels {
namespace {

template <typename T, int kPack>
__global__ void rms_norm_kernel(RmsNormArguments a) {
  __shared__ WarpNumbers numbers;
  rms_norm_row<T, kPack>(a, numbers);
}

template <typename T, int kPack>
__global__ void rotary_kernel(RotaryArguments a) {
  rotary_row<T, kPack>(a);
}

template <typename T, int kPack>
__global__ void gated_activation_kernel(GatedActivationArguments a) {
  gated_activation_row<T, kPack>(a);
}

template <typename T, int kPack, int kHeads>
__global__ void decode_attention_kernel(DecodeAttentionArguments a) {
  __shared__ DecodeAttentionShared<kHeads> shared;
  decode_attention_task<T, kPack>(a, shared);
}

__global__ void merge_decode_attention_kernel(DecodeAttentionArguments a) {
  merge_decode_attention_head(a);
}

template <typename T, typename Weight, int kPack, int kRows>
__global__ void __launch_bounds__(kLinearThreads) weight_only_kernel(WeightOnlyLinearArguments a) {
  weight_only_outputs<T, Weight, kPack, kRows>(a);
}

__global__ void __launch_bounds__(kSampleThreads) sample_kernel(SampleArguments a) {
  __shared__ SampleShared shared;
  sample_id(a, shared);
}

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls launch(T{}), of the element's type.
template <typename Launch>
void with_element(Element element, const Launch& launch) {
  if (element == Element::kFloat32)
    launch(float{});
  else
    launch(__nv_bfloat16{});
}

// Calls launch(T{}, Constant<pack>{}): the widest pack where it divides `width` and all pointers
// stand where one may begin, else 1.
template <typename Launch>
void with_pack(Element element,
               int64_t width,
               std::initializer_list<const void*> pointers,
               const Launch& launch) {
  const bool aligned = std::all_of(pointers.begin(), pointers.end(), [](const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
  });
  with_element(element, [&](auto zero) {
    using T = decltype(zero);
    if (aligned && width % kWidest<T> == 0)
      launch(zero, Constant<kWidest<T>>{});
    else
      launch(zero, Constant<1>{});
  });
}

// Whole warps for so many pieces of work, at most `most`.
unsigned threads_for(int64_t pieces, int64_t most = 512) {
  const int64_t warps = (pieces + kWarpSize - 1) / kWarpSize;
  return static_cast<unsigned>(std::clamp<int64_t>(warps * kWarpSize, kWarpSize, most));
}

unsigned blocks(int64_t count) { return static_cast<unsigned>(count); }

cudaStream_t stream_of(Stream stream) { return static_cast<cudaStream_t>(stream); }

void rms_norm(Element element, const RmsNormArguments& a, int64_t rows, Stream stream) {
  if (rows == 0) return;
  with_pack(element, a.width, {a.x, a.out}, [&](auto zero, auto pack) {
    using T = decltype(zero);
    constexpr int kPack = decltype(pack)::value;
    rms_norm_kernel<T, kPack>
        <<<blocks(rows), threads_for(a.width / kPack), 0, stream_of(stream)>>>(a);
  });
}

void rotary(Element element, const RotaryArguments& a, int64_t rows, Stream stream) {
  if (rows == 0) return;
  const int64_t half = a.head_dim / 2, pairs = a.heads * half;
  const int64_t width = std::gcd(half, a.x_stride);  // rows begin where the stride leaves them
  with_pack(element, width, {a.x, a.out}, [&](auto zero, auto pack) {
    using T = decltype(zero);
    constexpr int kPack = decltype(pack)::value;
    rotary_kernel<T, kPack><<<blocks(rows), threads_for(pairs / kPack), 0, stream_of(stream)>>>(a);
  });
}

void gated_activation(Element element,
                      const GatedActivationArguments& a,
                      int64_t rows,
                      Stream stream) {
  if (rows == 0) return;
  with_pack(element, a.width, {a.gate_up, a.out}, [&](auto zero, auto pack) {
    using T = decltype(zero);
    constexpr int kPack = decltype(pack)::value;
    const unsigned threads = threads_for(a.width / kPack, 256);
    const int64_t across = (a.width / kPack + threads - 1) / threads;
    gated_activation_kernel<T, kPack><<<dim3(blocks(rows), blocks(std::min<int64_t>(across, 64))),
                                        threads,
                                        0,
                                        stream_of(stream)>>>(a);
  });
}

template <typename T, int kPack>
void decode_tasks(const DecodeAttentionArguments& a, int64_t tasks, cudaStream_t stream) {
  const int64_t group = a.heads / a.kv_heads;
  if (group == 1)
    decode_attention_kernel<T, kPack, 1><<<blocks(tasks), kDecodeThreads, 0, stream>>>(a);
  else if (group <= 4)
    decode_attention_kernel<T, kPack, 4><<<blocks(tasks), kDecodeThreads, 0, stream>>>(a);
  else
    decode_attention_kernel<T, kPack, 8><<<blocks(tasks), kDecodeThreads, 0, stream>>>(a);
}

// Caches are ours: their rows stand where the widest pack may begin if it divides head_dim.
void decode_attention(Element element,
                      const DecodeAttentionArguments& a,
                      int64_t sequences,
                      Stream stream) {
  if (sequences == 0) return;
  with_pack(element, a.head_dim, {}, [&](auto zero, auto pack) {
    decode_tasks<decltype(zero), decltype(pack)::value>(
        a, sequences * a.kv_heads * a.parts, stream_of(stream));
  });
  merge_decode_attention_kernel<<<blocks(sequences * a.heads),
                                  threads_for(a.head_dim),
                                  0,
                                  stream_of(stream)>>>(a);
}

template <typename T, typename Weight, int kPack>
void weight_only_product(const WeightOnlyLinearArguments& a, cudaStream_t stream) {
  const unsigned grid = blocks((a.outputs + kOutputsOfBlock - 1) / kOutputsOfBlock);
  const auto launch = [&](auto rows) {
    weight_only_kernel<T, Weight, kPack, decltype(rows)::value>
        <<<grid, kLinearThreads, 0, stream>>>(a);
  };
  if (a.rows == 1)
    launch(Constant<1>{});
  else if (a.rows <= 4)
    launch(Constant<4>{});
  else if (a.rows <= 8)
    launch(Constant<8>{});
  else
    launch(Constant<WeightOnlyLinearArguments::kMostRows>{});
}

void weight_only_linear(Element element, const WeightOnlyLinearArguments& a, Stream stream) {
  if (a.rows == 0 || a.outputs == 0) return;
  with_pack(element, a.weight.width, {a.x}, [&](auto zero, auto pack) {
    using T = decltype(zero);
    constexpr int kPack = decltype(pack)::value;
    if (a.weight.bits == 8)
      weight_only_product<T, Int8Weight, kPack>(a, stream_of(stream));
    else
      weight_only_product<T, Int4Weight, kPack>(a, stream_of(stream));
  });
}

void sample(const SampleArguments& a, Stream stream) {
  sample_kernel<<<1, kSampleThreads, 0, stream_of(stream)>>>(a);
}

const char* error() {
  const cudaError_t code = cudaGetLastError();
  return code == cudaSuccess ? nullptr : cudaGetErrorString(code);
}

}  // namespace

const CudaKernelTable* cuda() {
  static constexpr CudaKernelTable kTable{rms_norm,
                                          rotary,
                                          gated_activation,
                                          decode_attention,
                                          weight_only_linear,
                                          sample,
                                          kWidestHead,
                                          error};
  return &kTable;
}

}  // namespace precis::kernels
