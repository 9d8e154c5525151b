// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/kv_cache.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "ops/pages.h"

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
    : KvCache(shape,
              options,
              num_sequences,
              options.device().is_cuda() ? KvLayout::kPaged : KvLayout::kContiguous) {}

KvCache::KvCache(KvShape shape, c10::TensorOptions options, int64_t num_sequences, KvLayout layout)
    : shape_(shape),
      options_(options),
      layout_(layout),
      sequences_(num_sequences, Sequence{std::vector<LayerRows>(shape.num_layers), {}}) {}

int64_t KvCache::length(int64_t sequence) const {
  const auto& layers = sequences_.at(sequence).layers;
  return layers.empty() ? 0 : layers.back().length;
}

int64_t KvCache::bytes() const {
  int64_t rows = 0;
  for (const Sequence& sequence : sequences_)
    for (const LayerRows& layer : sequence.layers) rows += layer.length;
  return 2 * rows * shape_.num_kv_heads * shape_.head_dim *
         static_cast<int64_t>(options_.dtype().itemsize());
}

std::pair<at::Tensor, at::Tensor> KvCache::rows(int64_t layer,
                                                int64_t sequence,
                                                int64_t first,
                                                int64_t count) const {
  const Sequence& own = sequences_.at(sequence);
  const LayerRows& stored = own.layers.at(layer);
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
  if (in_pages(stored)) return ops::read_from_pages(own.pages, layer, first, count);
  return {stored.keys.narrow(1, first, count), stored.values.narrow(1, first, count)};
}

bool KvCache::in_pages(const LayerRows& rows) const {
  return layout_ == KvLayout::kPaged && !rows.keys.defined();
}

std::pair<at::Tensor, at::Tensor> KvCache::held(const Sequence& sequence, int64_t layer) const {
  const LayerRows& rows = sequence.layers[layer];
  if (in_pages(rows)) return ops::read_from_pages(sequence.pages, layer, 0, rows.length);
  return {rows.keys.narrow(1, 0, rows.length), rows.values.narrow(1, 0, rows.length)};
}

void KvCache::own_pages(Sequence& sequence, int64_t first, int64_t last) const {
  const auto new_page = [&] {
    return at::empty(
        {shape_.num_layers, 2, shape_.num_kv_heads, ops::kRowsPerPage, shape_.head_dim}, options_);
  };
  const int64_t needed = ops::pages_for(last);
  for (int64_t i = first / ops::kRowsPerPage; i < std::min(needed, std::ssize(sequence.pages));
       ++i) {
    at::Tensor& page = sequence.pages[i];
    if (page.use_count() > 1) page = page.clone();
  }
  while (std::ssize(sequence.pages) < needed) sequence.pages.push_back(new_page());
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
  Sequence& own = sequences_.at(sequence);
  if (layout_ == KvLayout::kPaged) return own_pages(own, length(sequence), num_rows);
  for (LayerRows& rows : own.layers) {
    if (!rows.keys.defined() || rows.keys.size(1) < num_rows)
      grow(rows, grown_capacity(num_rows, 0));
  }
}

void KvCache::extend(int64_t sequence, int64_t count) {
  Sequence& own = sequences_.at(sequence);
  const int64_t length = this->length(sequence), total = length + count;
  if (layout_ == KvLayout::kPaged) {
    own_pages(own, length, total);
    for (size_t layer = 0; layer < own.layers.size(); ++layer) {
      LayerRows& rows = own.layers[layer];
      // Rows that were concatenated under gradients come home.
      if (!in_pages(rows)) {
        const auto [keys, values] = held(own, static_cast<int64_t>(layer));
        own_pages(own, 0, length);
        ops::write_to_pages(own.pages, static_cast<int64_t>(layer), 0, keys, values);
      }
      rows = {{}, {}, total};
    }
    return;
  }
  for (LayerRows& rows : own.layers) {
    // Rows that were concatenated under gradients may lie in any order.
    const bool room = rows.keys.defined() && rows.keys.size(1) >= total &&
                      rows.keys.is_contiguous() && rows.values.is_contiguous();
    if (!room) grow(rows, grown_capacity(total, rows.length));
    rows.length = total;
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::buffers(int64_t layer, int64_t sequence) const {
  const LayerRows& rows = sequences_.at(sequence).layers.at(layer);
  return {rows.keys, rows.values};
}

const std::vector<at::Tensor>& KvCache::pages(int64_t sequence) const {
  return sequences_.at(sequence).pages;
}

bool KvCache::is_shareable(const KvCache& other, int64_t from) const {
  const std::vector<LayerRows>& layers = other.sequences_.at(from).layers;
  return layout_ == KvLayout::kPaged && shape_ == other.shape_ &&
         options_.dtype() == other.options_.dtype() &&
         options_.device() == other.options_.device() &&
         std::all_of(layers.begin(), layers.end(), [&](const LayerRows& rows) {
           return other.in_pages(rows);
         });
}

void KvCache::copy_sequence(const KvCache& other, int64_t from, int64_t to) {
  if (is_shareable(other, from)) {
    Sequence shared = other.sequences_.at(from);
    // Not what was only reserved.
    shared.pages.resize(ops::pages_for(other.length(from)));
    sequences_.at(to) = std::move(shared);
    return;
  }
  const Sequence source = other.sequences_.at(from);
  auto& target = sequences_.at(to).layers;
  for (size_t layer = 0; layer < source.layers.size(); ++layer) {
    target[layer].length = 0;
    if (source.layers[layer].length == 0) continue;
    const auto index = static_cast<int64_t>(layer);
    const auto [keys, values] = other.held(source, index);
    append(index, to, keys, values);
  }
}

void KvCache::truncate(int64_t sequence, int64_t length) {
  Sequence& own = sequences_.at(sequence);
  for (LayerRows& rows : own.layers) rows.length = std::min(rows.length, length);
}

std::pair<at::Tensor, at::Tensor> KvCache::append_to_pages(Sequence& sequence,
                                                           int64_t layer,
                                                           const at::Tensor& keys,
                                                           const at::Tensor& values) const {
  LayerRows& rows = sequence.layers[layer];
  const int64_t before = rows.length, total = before + keys.size(1);
  own_pages(sequence, before, total);
  ops::write_to_pages(sequence.pages, layer, before, keys, values);
  rows.length = total;
  // What was there before has to be gathered; what has come is at hand.
  if (before == 0) return {keys.to(options_), values.to(options_)};
  return held(sequence, layer);
}

std::pair<at::Tensor, at::Tensor> KvCache::append(int64_t layer,
                                                  int64_t sequence,
                                                  const at::Tensor& keys,
                                                  const at::Tensor& values) {
  Sequence& own = sequences_.at(sequence);
  LayerRows& rows = own.layers.at(layer);
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
  const int64_t total = rows.length + keys.size(1);
  if (differentiable(keys, values)) {
    if (rows.length == 0) {
      rows = {keys, values, total};
    } else {
      const auto [old_keys, old_values] = held(own, layer);
      rows = {at::cat({old_keys, keys}, 1), at::cat({old_values, values}, 1), total};
    }
    return {rows.keys, rows.values};
  }
  if (in_pages(rows)) return append_to_pages(own, layer, keys, values);
  if (!rows.keys.defined() || rows.keys.size(1) < total) {
    grow(rows, grown_capacity(total, rows.length));
  }
  write_rows(rows.keys, rows.length, keys);
  write_rows(rows.values, rows.length, values);
  rows.length = total;
  return {rows.keys.narrow(1, 0, total), rows.values.narrow(1, 0, total)};
}

}  // namespace precis
