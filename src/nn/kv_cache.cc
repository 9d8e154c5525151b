// SPDX-License-Identifier: Apache-2.0
#include "precis/kv_cache.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/check.h"

namespace precis {
namespace {

// Capacity grows by half, in steps of this many rows.
constexpr int64_t kCapacityStep = 64;

int64_t grown_capacity(int64_t needed, int64_t present) {
  const int64_t wanted = std::max(needed, present + present / 2);
  return (wanted + kCapacityStep - 1) / kCapacityStep * kCapacityStep;
}

bool differentiable(const at::Tensor& keys, const at::Tensor& values) {
  return c10::GradMode::is_enabled() && (keys.requires_grad() || values.requires_grad());
}

// Copies rows [heads, n, head_dim] to row `first` of a buffer [heads, capacity, head_dim]. Plain
// copies where they are possible: a step of decoding has two a layer, smaller than what dispatching
// one to ATen costs.
void write_rows(const at::Tensor& buffer, int64_t first, const at::Tensor& rows) {
  const int64_t count = rows.size(1), width = rows.size(2);
  const bool dense = rows.is_cpu() && rows.scalar_type() == buffer.scalar_type() &&
                     rows.stride(2) == 1 && buffer.is_contiguous();
  if (!dense) {
    buffer.narrow(1, first, count).copy_(rows);
    return;
  }
  const auto size = static_cast<int64_t>(rows.element_size());
  const auto* from = static_cast<const std::byte*>(rows.const_data_ptr());
  auto* to = static_cast<std::byte*>(buffer.mutable_data_ptr());
  for (int64_t head = 0; head < rows.size(0); ++head) {
    for (int64_t row = 0; row < count; ++row) {
      std::memcpy(to + ((head * buffer.size(1)) + first + row) * width * size,
                  from + (head * rows.stride(0) + row * rows.stride(1)) * size,
                  width * size);
    }
  }
}

}  // namespace

KvCache::KvCache(KvShape shape, c10::TensorOptions options, int64_t num_sequences)
    : shape_(shape),
      options_(options),
      sequences_(num_sequences, std::vector<LayerRows>(shape.num_layers)) {}

int64_t KvCache::length(int64_t sequence) const {
  const auto& layers = sequences_.at(sequence);
  return layers.empty() ? 0 : layers.back().length;
}

int64_t KvCache::bytes() const {
  int64_t rows = 0;
  for (const auto& layers : sequences_)
    for (const LayerRows& layer : layers) rows += layer.length;
  return 2 * rows * shape_.num_kv_heads * shape_.head_dim *
         static_cast<int64_t>(options_.dtype().itemsize());
}

std::pair<at::Tensor, at::Tensor> KvCache::rows(int64_t layer,
                                                int64_t sequence,
                                                int64_t first,
                                                int64_t count) const {
  const LayerRows& stored = sequences_.at(sequence).at(layer);
  PRECIS_CHECK(first >= 0 && count >= 1 && count <= stored.length && first <= stored.length - count,
               kInvalidArgument,
               "cache: ",
               count,
               " rows from row ",
               first,
               " on were asked for, sequence ",
               sequence,
               " has ",
               stored.length);
  return {stored.keys.narrow(1, first, count), stored.values.narrow(1, first, count)};
}

void KvCache::grow(LayerRows& rows, int64_t capacity) const {
  const auto enlarge = [&](at::Tensor& stored) {
    at::Tensor larger = at::empty({shape_.num_kv_heads, capacity, shape_.head_dim}, options_);
    if (rows.length > 0) {
      larger.narrow(1, 0, rows.length).copy_(stored.narrow(1, 0, rows.length));
    }
    stored = std::move(larger);
  };
  enlarge(rows.keys);
  enlarge(rows.values);
}

void KvCache::reserve(int64_t sequence, int64_t num_rows) {
  for (LayerRows& rows : sequences_.at(sequence)) {
    if (!rows.keys.defined() || rows.keys.size(1) < num_rows)
      grow(rows, grown_capacity(num_rows, 0));
  }
}

void KvCache::extend(int64_t sequence, int64_t count) {
  for (LayerRows& rows : sequences_.at(sequence)) {
    const int64_t total = rows.length + count;
    // Rows that were concatenated under gradients may lie in any order.
    const bool room = rows.keys.defined() && rows.keys.size(1) >= total &&
                      rows.keys.is_contiguous() && rows.values.is_contiguous();
    if (!room) grow(rows, grown_capacity(total, rows.length));
    rows.length = total;
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::buffers(int64_t layer, int64_t sequence) const {
  const LayerRows& rows = sequences_.at(sequence).at(layer);
  return {rows.keys, rows.values};
}

void KvCache::copy_sequence(const KvCache& other, int64_t from, int64_t to) {
  const std::vector<LayerRows> source = other.sequences_.at(from);
  auto& target = sequences_.at(to);
  for (size_t layer = 0; layer < source.size(); ++layer) {
    target[layer].length = 0;
    if (source[layer].length == 0) continue;
    append(static_cast<int64_t>(layer),
           to,
           source[layer].keys.narrow(1, 0, source[layer].length),
           source[layer].values.narrow(1, 0, source[layer].length));
  }
}

void KvCache::truncate(int64_t sequence, int64_t length) {
  for (LayerRows& rows : sequences_.at(sequence)) rows.length = std::min(rows.length, length);
}

std::pair<at::Tensor, at::Tensor> KvCache::append(int64_t layer,
                                                  int64_t sequence,
                                                  const at::Tensor& keys,
                                                  const at::Tensor& values) {
  LayerRows& rows = sequences_.at(sequence).at(layer);
  PRECIS_CHECK(keys.dim() == 3 && keys.size(0) == shape_.num_kv_heads &&
                   keys.size(2) == shape_.head_dim && keys.sizes() == values.sizes(),
               kInvalidArgument,
               "cache: keys ",
               keys.sizes(),
               " and values ",
               values.sizes(),
               " are no rows of ",
               shape_.num_kv_heads,
               " heads of ",
               shape_.head_dim);
  const int64_t added = keys.size(1);
  const int64_t total = rows.length + added;
  if (differentiable(keys, values)) {
    const auto join = [&](const at::Tensor& stored, const at::Tensor& fresh) {
      return rows.length == 0 ? fresh : at::cat({stored.narrow(1, 0, rows.length), fresh}, 1);
    };
    rows = {join(rows.keys, keys), join(rows.values, values), total};
    return {rows.keys, rows.values};
  }
  if (!rows.keys.defined() || rows.keys.size(1) < total) {
    grow(rows, grown_capacity(total, rows.length));
  }
  write_rows(rows.keys, rows.length, keys);
  write_rows(rows.values, rows.length, values);
  rows.length = total;
  return {rows.keys.narrow(1, 0, total), rows.values.narrow(1, 0, total)};
}

}  // namespace precis
