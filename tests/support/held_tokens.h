// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "ops/attention.h"
#include "ops/kv_blocks.h"

namespace precis {

// Keys and values that a sequence has in one layer, in blocks of one layer.
struct HeldTokens {
  at::Tensor keys;    // [kv_heads, n, head_dim]
  at::Tensor values;  // same shape
  std::vector<at::Tensor> blocks = {};
  std::vector<std::shared_ptr<const RaggedKv>> ragged = {};

  int64_t length() const { return keys.size(1); }
  KvView view() const { return {blocks, 0, length(), {}, {}, ragged}; }
};

inline HeldTokens in_blocks(const at::Tensor& keys, const at::Tensor& values) {
  HeldTokens held{keys, values};
  for (int64_t i = 0; i < ops::blocks_for(keys.size(1)); ++i)
    held.blocks.push_back(
        at::zeros({1, keys.size(0), 2, ops::kBlockSize, keys.size(2)}, keys.options()));
  ops::reference::write_to_blocks(held.blocks, 0, 0, keys, values);
  return held;
}

// Attention of q [n, heads, head_dim] over sequences whose last counts[i] tokens are new in
// this pass.
template <typename Attend>
at::Tensor attend_to(const std::vector<HeldTokens>& held,
                     const at::Tensor& q,
                     const std::vector<int64_t>& counts,
                     const ops::AttentionOptions& options,
                     const Attend& attend) {
  std::vector<at::Tensor> k, v;
  std::vector<KvView> views;
  std::vector<int64_t> cu_seqlens{0};
  for (size_t i = 0; i < held.size(); ++i) {
    const auto own = [&](const at::Tensor& x) {
      return x.narrow(1, x.size(1) - counts[i], counts[i]).transpose(0, 1);
    };
    k.push_back(own(held[i].keys));
    v.push_back(own(held[i].values));
    views.push_back(held[i].view());
    cu_seqlens.push_back(cu_seqlens.back() + counts[i]);
  }
  const at::Tensor keys = k.empty() ? at::Tensor() : at::cat(k, 0);
  const at::Tensor values = v.empty() ? at::Tensor() : at::cat(v, 0);
  return attend(ops::AttentionInput{q, keys, values, cu_seqlens, views}, options);
}

}  // namespace precis
