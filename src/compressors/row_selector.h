// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {

// What is left of the cached rows of a text, in every layer and head.
struct SelectedRows {
  at::Tensor keys;    // [num_layers, num_kv_heads, count, head_dim], rotated for where they stood
  at::Tensor values;  // same shape
  at::Tensor rows;    // [num_layers, num_kv_heads, count] int64, ascending: which ones they are
};

// What is asked of a selector. The text stands at positions 0 .. ids.size() - 1.
struct SelectionRequest {
  std::span<const TokenId> ids;
  int64_t num_kept = 1;  // rows at the beginning that are kept as they are
  int64_t count = 0;     // rows to be left; num_kept < count < ids.size()
  CompressProgress progress;
};

// How a compressor without weights finds the rows of a memory. Borrows the decoder.
class RowSelector {
 public:
  virtual ~RowSelector() = default;

  // What beside the text decides which rows are left; for the compressor's fingerprint.
  virtual std::string settings() const { return {}; }
  // Rows of the longest text that it can read in a window of so many.
  virtual int64_t longest_text(int64_t window) const { return window; }
  // Throws kUnsupported for a decoder that shows no queries, kCancelled.
  virtual SelectedRows select(const SelectionRequest& request) const = 0;
};

}  // namespace precis
