// SPDX-License-Identifier: Apache-2.0
// Compiled for every instruction set that Highway knows; the processor's own is picked at run time.
#include "kernels/cpu/block_attention.h"

#define HWY_TARGET_INCLUDE "kernels/cpu/block_attention-inl.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/block_attention-inl.h"

namespace precis::kernels {
namespace {

// Merges one head's states of all splits, `stride` floats apart, into its row of the output.
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void merge(
    const float* states, int64_t num_splits, int64_t stride, int64_t head_dim, float* out) {
  float largest = -std::numeric_limits<float>::infinity(), total = 0;
  for (int64_t split = 0; split < num_splits; ++split)
    largest = std::max(largest, states[split * stride + head_dim + 1]);
  std::fill(out, out + head_dim, 0.0f);
  for (int64_t split = 0; split < num_splits; ++split) {
    const float* state = states + split * stride;
    const float weight = std::exp(state[head_dim + 1] - largest);
    total += weight * state[head_dim];
    for (int64_t i = 0; i < head_dim; ++i) out[i] += weight * state[i];
  }
  for (int64_t i = 0; i < head_dim; ++i) out[i] /= total;
}

}  // namespace

HWY_EXPORT(attend_f32);
HWY_EXPORT(attend_bf16);

void block_attention(Element element,
                     const BlockAttentionArguments& a,
                     int64_t first,
                     int64_t last) {
  if (element == Element::kFloat32)
    HWY_DYNAMIC_DISPATCH(attend_f32)(a, first, last);
  else
    HWY_DYNAMIC_DISPATCH(attend_bf16)(a, first, last);
}

void merge_block_attention(const BlockAttentionArguments& a, int64_t first, int64_t last) {
  const int64_t group = a.heads / a.kv_heads, state = a.head_dim + 2;
  for (int64_t head = first; head < last; ++head) {
    const float* states = a.states + (head / group * a.max_splits * group + head % group) * state;
    merge(
        states, a.num_splits[head / a.heads], group * state, a.head_dim, a.out + head * a.head_dim);
  }
}

}  // namespace precis::kernels
