// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {

// The keys and values that are kept of a text's cache, in every layer and head. A row is one cached
// token of one head. Rows of one head come after those of the head before, layer by layer.
struct SelectedRows {
  at::Tensor keys;     // [num_rows, head_dim], rotated for their positions
  at::Tensor values;   // same shape
  at::Tensor rows;     // [num_rows] int64, ascending in each head: token indices in the text
  at::Tensor lengths;  // [num_layers, num_kv_heads] int64 on the CPU: rows of each head
};

// Input of a selector. The text is at positions 0 .. ids.size() - 1.
struct SelectionRequest {
  std::span<const TokenId> ids;
  int64_t num_kept = 1;  // leading tokens that are kept unchanged
  int64_t count = 0;     // tokens to keep of each head on average; num_kept < count < ids.size()
  CompressProgress progress;
};

// Selects the rows of a memory for a compressor without weights. Borrows the decoder.
class RowSelector {
 public:
  virtual ~RowSelector() = default;

  // Settings that the selection depends on; part of the compressor's fingerprint.
  virtual std::string settings() const { return {}; }
  // Throws kUnsupported for a decoder that does not call its observer, kCancelled.
  virtual SelectedRows select(const SelectionRequest& request) const = 0;
};

}  // namespace precis
