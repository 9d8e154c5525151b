// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace precis {

struct KvShape {
  int64_t num_layers = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;

  bool operator==(const KvShape&) const = default;

  // Bytes of the keys and values of one row, over all layers.
  int64_t bytes_per_row(int64_t bytes_per_element) const {
    return 2 * num_layers * num_kv_heads * head_dim * bytes_per_element;
  }
};

// Where a cache keeps rows that no gradient goes through.
enum class KvLayout {
  kContiguous,  // all rows of a layer together: what the CPU's kernels read
  kPaged,       // in pages of 32 rows of all layers: nothing is moved as a sequence grows, and
                // sequences share the pages of a common beginning
};

// Keys and values that a decoder has computed, per sequence and layer; keys are already rotated.
// Rows are written in place; where gradients are on and rows need them, they are concatenated
// instead, so that autograd can see through. Owned by the caller of Decoder::forward; not safe for
// use from several threads at once. REQUIRES of all methods: sequences and layers that exist.
class KvCache {
 public:
  // Room for `num_sequences` empty sequences, which grow as they are appended to. Paged on a GPU,
  // else contiguous.
  KvCache(KvShape shape, c10::TensorOptions options, int64_t num_sequences = 1);
  KvCache(KvShape shape, c10::TensorOptions options, int64_t num_sequences, KvLayout layout);

  int64_t num_sequences() const { return static_cast<int64_t>(sequences_.size()); }
  const KvShape& shape() const { return shape_; }
  KvLayout layout() const { return layout_; }

  // Rows that every layer holds for this sequence.
  int64_t length(int64_t sequence) const;
  // Bytes that the rows in use take, over all sequences; shared ones count for each.
  int64_t bytes() const;

  // Keys and values of rows first .. first + count - 1 of one layer, [num_kv_heads, count,
  // head_dim] each: views, through which autograd sees, or copies of what lies in pages. Throws
  // kInvalidArgument for rows that are not there.
  std::pair<at::Tensor, at::Tensor> rows(int64_t layer,
                                         int64_t sequence,
                                         int64_t first,
                                         int64_t count) const;

  // Makes room for `num_rows` rows in all, so that appending up to there does not allocate.
  void reserve(int64_t sequence, int64_t num_rows);
  // Makes `to` a copy of sequence `from` of `other` (which may be this cache). Of pages nothing is
  // copied until one of the two writes to a page that both have: they belong to one CUDA stream.
  void copy_sequence(const KvCache& other, int64_t from, int64_t to);
  // Forgets all rows from `length` on.
  void truncate(int64_t sequence, int64_t length);

  // For decoders: adds the rows of one layer, [num_kv_heads, n, head_dim] each, and returns all
  // keys and all values of that layer, [num_kv_heads, length + n, head_dim].
  std::pair<at::Tensor, at::Tensor> append(int64_t layer,
                                           int64_t sequence,
                                           const at::Tensor& keys,
                                           const at::Tensor& values);

  // For decoders that write rows themselves: counts `count` more rows of a sequence as held, in
  // every layer, with room for them that is this sequence's alone. What they hold is then the
  // caller's to write. REQUIRES: gradients off, and no rows that a backward pass still needs.
  void extend(int64_t sequence, int64_t count);
  // Where the rows of a layer lie: keys and values, [num_kv_heads, capacity, head_dim] each,
  // contiguous after extend(). REQUIRES: a contiguous layout.
  std::pair<at::Tensor, at::Tensor> buffers(int64_t layer, int64_t sequence) const;
  // All rows of the sequence after extend(): [num_layers, 2, num_kv_heads, 32, head_dim] each, keys
  // before values. REQUIRES: a paged layout.
  const std::vector<at::Tensor>& pages(int64_t sequence) const;

 private:
  struct LayerRows {
    at::Tensor keys;    // [num_kv_heads, capacity, head_dim]; undefined: in the sequence's pages
    at::Tensor values;  // same shape
    int64_t length = 0;
  };
  struct Sequence {
    std::vector<LayerRows> layers;
    std::vector<at::Tensor> pages;
  };

  void grow(LayerRows& rows, int64_t capacity) const;
  bool in_pages(const LayerRows& rows) const;
  bool is_shareable(const KvCache& other, int64_t from) const;
  // Keys and values of all rows of a layer that has some.
  std::pair<at::Tensor, at::Tensor> held(const Sequence& sequence, int64_t layer) const;
  // Pages for rows first .. last - 1 that no other sequence has.
  void own_pages(Sequence& sequence, int64_t first, int64_t last) const;
  std::pair<at::Tensor, at::Tensor> append_to_pages(Sequence& sequence,
                                                    int64_t layer,
                                                    const at::Tensor& keys,
                                                    const at::Tensor& values) const;

  KvShape shape_;
  c10::TensorOptions options_;
  KvLayout layout_;
  std::vector<Sequence> sequences_;
};

}  // namespace precis
