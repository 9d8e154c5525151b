// SPDX-License-Identifier: Apache-2.0
#include "memory/ragged.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace precis {
namespace {

// One tensor for each head.
std::vector<at::Tensor> heads_of(const at::Tensor& tokens, const at::Tensor& lengths) {
  const auto* sizes = lengths.const_data_ptr<int64_t>();
  return tokens.split_with_sizes(at::IntArrayRef(sizes, lengths.numel()), 0);
}

}  // namespace

int64_t CachedTokens::num_tokens() const {
  if (!is_ragged()) return keys.size(2);
  return (keys.size(0) + lengths.numel() - 1) / lengths.numel();
}

KvShape kv_shape_of(const CachedTokens& memory) {
  if (memory.is_ragged())
    return {memory.lengths.size(0), memory.lengths.size(1), memory.keys.size(1)};
  return {memory.keys.size(0), memory.keys.size(1), memory.keys.size(3)};
}

std::vector<int64_t> head_starts(const at::Tensor& lengths) {
  std::vector<int64_t> starts{0};
  const at::Tensor flat = lengths.contiguous();
  const auto* sizes = flat.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < flat.numel(); ++i) starts.push_back(starts.back() + sizes[i]);
  return starts;
}

at::Tensor join_heads(const std::vector<at::Tensor>& tensors,
                      const std::vector<at::Tensor>& lengths) {
  if (tensors.size() == 1) return tensors[0];
  std::vector<std::vector<at::Tensor>> heads;
  for (size_t i = 0; i < tensors.size(); ++i) heads.push_back(heads_of(tensors[i], lengths[i]));
  std::vector<at::Tensor> joined;
  for (size_t head = 0; head < heads[0].size(); ++head)
    for (const auto& own : heads) joined.push_back(own[head]);
  return at::cat(joined, 0);
}

at::Tensor without_first(const at::Tensor& tokens, const at::Tensor& lengths, int64_t count) {
  std::vector<at::Tensor> rest = heads_of(tokens, lengths);
  for (at::Tensor& head : rest) head = head.narrow(0, count, head.size(0) - count);
  return at::cat(rest, 0);
}

CachedTokens simplest(CachedTokens ragged) {
  const at::Tensor lengths = ragged.lengths;
  if (!lengths.defined() || !lengths.eq(lengths.flatten()[0]).all().item<bool>()) return ragged;
  const auto uniform = [&](const at::Tensor& tokens) {
    return tokens.view({lengths.size(0), lengths.size(1), -1, tokens.size(1)});
  };
  ragged.keys = uniform(ragged.keys);
  ragged.values = uniform(ragged.values);
  ragged.lengths = at::Tensor();
  return ragged;
}

CachedTokens without_first(const CachedTokens& memory, int64_t count) {
  CachedTokens rest = memory;
  rest.num_sinks = std::max<int64_t>(0, memory.num_sinks - count);
  if (memory.is_ragged()) {
    rest.keys = without_first(memory.keys, memory.lengths, count);
    rest.values = without_first(memory.values, memory.lengths, count);
    rest.lengths = memory.lengths - count;
    return rest;
  }
  const int64_t size = memory.keys.size(2) - count;
  rest.keys = memory.keys.narrow(2, count, size);
  rest.values = memory.values.narrow(2, count, size);
  return rest;
}

RaggedKv to_ragged_kv(const CachedTokens& memory, c10::TensorOptions options) {
  return {memory.keys.to(options).contiguous(),
          memory.values.to(options).contiguous(),
          head_starts(memory.lengths)};
}

}  // namespace precis
