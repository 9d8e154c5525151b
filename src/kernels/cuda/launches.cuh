// SPDX-License-Identifier: Apache-2.0
// Chooses the template instance and the grid of each kernel. The kernels are in their own files.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <numeric>

#include "kernels/cuda/add_rms_norm.cuh"
#include "kernels/cuda/copy_pages.cuh"
#include "kernels/cuda/gated_activation.cuh"
#include "kernels/cuda/gather_rows.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/paged_attention.cuh"
#include "kernels/cuda/rms_norm.cuh"
#include "kernels/cuda/rotary.cuh"
#include "kernels/cuda/rotary_append.cuh"
#include "kernels/cuda/sample.cuh"
#include "kernels/cuda/weight_only_linear.cuh"
#include "kernels/cuda_kernels.h"

namespace precis::kernels {

struct NothingShared {};

// All that launch() needs of a kernel except run().
template <typename A, int kMostThreads, typename S = NothingShared>
struct KernelOf {
  using Arguments = A;
  using Shared = S;
  static constexpr int kThreads = kMostThreads;
};

template <typename T, int kPack>
struct RmsNormKernel : KernelOf<RmsNormArguments, 512, WarpValues> {
  __device__ static void run(const RmsNormArguments& a, WarpValues& shared) {
    rms_norm_row<T, kPack>(a, shared);
  }
};

template <typename T, int kPack>
struct AddRmsNormKernel : KernelOf<AddRmsNormArguments, 512, AddRmsNormShared> {
  __device__ static void run(const AddRmsNormArguments& a, AddRmsNormShared& shared) {
    add_rms_norm_row<T, kPack>(a, shared);
  }
};

template <typename T, int kPack>
struct RotaryKernel : KernelOf<RotaryArguments, 512> {
  __device__ static void run(const RotaryArguments& a, NothingShared&) { rotary_row<T, kPack>(a); }
};

template <typename T>
struct RotaryAppendKernel : KernelOf<PagedAppendArguments, kAppendThreads> {
  __device__ static void run(const PagedAppendArguments& a, NothingShared&) {
    rotary_append_head<T>(a);
  }
};

template <typename T, int kPack, int kHeads>
struct PagedAttentionKernel
    : KernelOf<PagedAttentionArguments, kAttentionThreads, PagedAttentionShared<kHeads>> {
  __device__ static void run(const PagedAttentionArguments& a,
                             PagedAttentionShared<kHeads>& shared) {
    paged_attention_task<T, kPack>(a, shared);
  }
};

template <typename T>
struct MergeAttentionKernel : KernelOf<PagedAttentionArguments, 512> {
  __device__ static void run(const PagedAttentionArguments& a, NothingShared&) {
    merge_attention_head<T>(a);
  }
};

template <typename T, int kPack, typename Pointer>
struct CopyPagesKernel : KernelOf<CopyPagesArguments<Pointer>, 512> {
  __device__ static void run(const CopyPagesArguments<Pointer>& a, NothingShared&) {
    copy_page_row<T, kPack>(a);
  }
};

template <typename T, int kPack>
struct GatedActivationKernel : KernelOf<GatedActivationArguments, 256> {
  __device__ static void run(const GatedActivationArguments& a, NothingShared&) {
    gated_activation_row<T, kPack>(a);
  }
};

template <typename T, int kPack>
struct GatherRowsKernel : KernelOf<GatherRowsArguments, 512> {
  __device__ static void run(const GatherRowsArguments& a, NothingShared&) {
    gather_row<T, kPack>(a);
  }
};

template <typename T, typename Weight, int kPack, int kRows>
struct WeightOnlyLinearKernel : KernelOf<WeightOnlyLinearArguments, kLinearThreads> {
  __device__ static void run(const WeightOnlyLinearArguments& a, NothingShared&) {
    weight_only_outputs<T, Weight, kPack, kRows>(a);
  }
};

struct SampleKernel : KernelOf<SampleArguments, kSampleThreads, SampleShared> {
  __device__ static void run(const SampleArguments& a, SampleShared& shared) {
    sample_id(a, shared);
  }
};

namespace launches {

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls launch(T{}) with the element's type.
template <typename Launch>
void with_element(Element element, const Launch& launch) {
  if (element == Element::kFloat32)
    launch(float{});
  else
    launch(__nv_bfloat16{});
}

// Calls launch(T{}, Constant<pack>{}): the widest pack if it divides `width` and all pointers are
// aligned to 16 bytes, else 1.
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

// Threads for `items` pieces of work: whole warps, at most `most`.
inline int64_t threads_for(int64_t items, int64_t most = 512) {
  const int64_t warps = (items + kWarpSize - 1) / kWarpSize;
  return std::clamp<int64_t>(warps * kWarpSize, kWarpSize, most);
}

inline void rms_norm(Element element, const RmsNormArguments& a, int64_t rows, Stream stream) {
  if (rows == 0) return;
  with_pack(element, a.width, {a.x, a.out}, [&](auto zero, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    launch<RmsNormKernel<decltype(zero), kPack>>({rows, threads_for(a.width / kPack)}, a, stream);
  });
}

inline void add_rms_norm(Element element,
                         const AddRmsNormArguments& a,
                         int64_t rows,
                         Stream stream) {
  if (rows == 0) return;
  with_pack(element, a.width, {a.x, a.change, a.out}, [&](auto zero, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    launch<AddRmsNormKernel<decltype(zero), kPack>>(
        {rows, threads_for(a.width / kPack)}, a, stream);
  });
}

inline void rotary(Element element, const RotaryArguments& a, int64_t rows, Stream stream) {
  if (rows == 0) return;
  const int64_t half = a.head_dim / 2, pairs = a.heads * half;
  const int64_t width = std::gcd(half, a.x_stride);  // the stride limits the alignment of rows
  with_pack(element, width, {a.x, a.out}, [&](auto zero, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    launch<RotaryKernel<decltype(zero), kPack>>({rows, threads_for(pairs / kPack)}, a, stream);
  });
}

inline void rotary_append(Element element,
                          const PagedAppendArguments& a,
                          int64_t rows,
                          Stream stream) {
  if (rows == 0) return;
  const int64_t heads = a.heads + 2 * a.kv_heads;
  const int64_t across = (heads + kHeadsOfAppendBlock - 1) / kHeadsOfAppendBlock;
  with_element(element, [&](auto zero) {
    launch<RotaryAppendKernel<decltype(zero)>>({rows, kAppendThreads, across}, a, stream);
  });
}

template <typename T, int kPack>
void attend_splits(const PagedAttentionArguments& a, int64_t sequences, Stream stream) {
  const int64_t group = a.heads / a.kv_heads;
  const Grid grid{sequences * a.kv_heads * a.max_splits, kAttentionThreads};
  if (group == 1)
    launch<PagedAttentionKernel<T, kPack, 1>>(grid, a, stream);
  else if (group <= 4)
    launch<PagedAttentionKernel<T, kPack, 4>>(grid, a, stream);
  else
    launch<PagedAttentionKernel<T, kPack, 8>>(grid, a, stream);
}

// The cache allocates pages: their rows are aligned to the widest pack if it divides head_dim.
inline void paged_attention(Element element,
                            const PagedAttentionArguments& a,
                            int64_t sequences,
                            Stream stream) {
  if (sequences == 0) return;
  with_pack(element, a.head_dim, {}, [&](auto zero, auto pack) {
    attend_splits<decltype(zero), decltype(pack)::value>(a, sequences, stream);
    launch<MergeAttentionKernel<decltype(zero)>>(
        {sequences * a.heads, threads_for(a.head_dim)}, a, stream);
  });
}

template <typename Pointer>
void copy_pages(Element element,
                const CopyPagesArguments<Pointer>& a,
                int64_t rows,
                Stream stream) {
  if (rows == 0) return;
  const int64_t strides = std::gcd(std::gcd(a.key_head_stride, a.key_stride),
                                   std::gcd(a.value_head_stride, a.value_stride));
  with_pack(element, std::gcd(a.head_dim, strides), {a.keys, a.values}, [&](auto zero, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    launch<CopyPagesKernel<decltype(zero), kPack, Pointer>>(
        {rows, threads_for(a.kv_heads * a.head_dim / kPack)}, a, stream);
  });
}

inline void gated_activation(Element element,
                             const GatedActivationArguments& a,
                             int64_t rows,
                             Stream stream) {
  if (rows == 0) return;
  with_pack(element, a.width, {a.gate_up, a.out}, [&](auto zero, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    const int64_t threads = threads_for(a.width / kPack, 256);
    const int64_t across = (a.width / kPack + threads - 1) / threads;
    launch<GatedActivationKernel<decltype(zero), kPack>>(
        {rows, threads, std::min<int64_t>(across, 64)}, a, stream);
  });
}

inline void gather_rows(Element element,
                        const GatherRowsArguments& a,
                        int64_t rows,
                        Stream stream) {
  if (rows == 0) return;
  with_pack(element, a.width, {a.first, a.second, a.out}, [&](auto zero, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    launch<GatherRowsKernel<decltype(zero), kPack>>(
        {rows, threads_for(a.width / kPack)}, a, stream);
  });
}

template <typename T, typename Weight, int kPack>
void weight_only_product(const WeightOnlyLinearArguments& a, Stream stream) {
  const Grid grid{(a.outputs + kOutputsOfBlock - 1) / kOutputsOfBlock, kLinearThreads};
  const auto start = [&](auto rows) {
    launch<WeightOnlyLinearKernel<T, Weight, kPack, decltype(rows)::value>>(grid, a, stream);
  };
  if (a.rows == 1)
    start(Constant<1>{});
  else if (a.rows <= 4)
    start(Constant<4>{});
  else if (a.rows <= 8)
    start(Constant<8>{});
  else
    start(Constant<WeightOnlyLinearArguments::kMostRows>{});
}

inline void weight_only_linear(Element element, const WeightOnlyLinearArguments& a, Stream stream) {
  if (a.rows == 0 || a.outputs == 0) return;
  with_pack(element, a.weight.width, {a.x}, [&](auto zero, auto pack) {
    using T = decltype(zero);
    constexpr int kPack = decltype(pack)::value;
    if (a.weight.bits == 8)
      weight_only_product<T, Int8Weight, kPack>(a, stream);
    else
      weight_only_product<T, Int4Weight, kPack>(a, stream);
  });
}

inline void sample(const SampleArguments& a, int64_t rows, Stream stream) {
  if (rows == 0) return;
  launch<SampleKernel>({rows, kSampleThreads}, a, stream);
}

constexpr CudaKernelTable table(const char* (*error)()) {
  return {rms_norm,
          add_rms_norm,
          rotary,
          rotary_append,
          paged_attention,
          copy_pages<const void*>,
          copy_pages<void*>,
          gated_activation,
          gather_rows,
          weight_only_linear,
          sample,
          kWidestHead,
          error};
}

}  // namespace launches
}  // namespace precis::kernels
