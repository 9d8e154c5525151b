// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "models/layer.h"
#include "ops/graph.h"
#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"

namespace precis::models {

// Decode steps on a GPU: all layers and the final norm over one new token of each sequence. On the
// default stream a step is captured as a CUDA graph over buffers of its own, which are filled anew
// for each step, and replayed as one launch. Calls at the same time use buffers of their own.
class CudaGraph {
 public:
  // The stack is borrowed.
  explicit CudaGraph(const LayerStack& stack);
  ~CudaGraph();

  // Whether tokens x [n, hidden] of this dtype and device can be run this way.
  bool applies(const at::Tensor& x) const;

  // -> [sequences, hidden], of x's dtype. Throws kInvalidArgument for a cache of another shape,
  // dtype or device, which is then unchanged. REQUIRES: applies(x), gradients off, one token of
  // each of the input's sequences, which are distinct and have no ragged memories.
  at::Tensor run(const DecoderInput& input, KvCache& cache) const;

 private:
  // Rounded up, so that few graphs are captured.
  struct Size {
    int64_t rows;    // sequences, with padding
    int64_t blocks;  // of a sequence
    c10::ScalarType dtype;

    bool operator==(const Size&) const = default;
  };
  // The inputs of a step, at fixed addresses, and its graph, once captured.
  struct Step {
    Size size;
    at::Tensor x;          // [rows, hidden]; padding is zeros
    at::Tensor positions;  // [rows] int64
    at::Tensor tables;     // int64: lengths [rows], then addresses of blocks [rows, blocks]
    std::optional<ops::Graph> graph = {};
  };

  at::Tensor run_step(const DecoderInput& input,
                      const KvCache& cache,
                      const std::vector<int64_t>& lengths) const;
  bool is_captured(const Size& size) const;
  std::unique_ptr<Step> take(const Size& size, const at::Tensor& x) const;
  void give_back(std::unique_ptr<Step> step) const;
  void fill(const Step& step,
            const DecoderInput& input,
            const KvCache& cache,
            const std::vector<int64_t>& lengths) const;
  at::Tensor tables(const Size& size,
                    const std::vector<int64_t>& sequences,
                    const KvCache& cache,
                    const std::vector<int64_t>& lengths) const;
  at::Tensor queue(const Step& step) const;

  const LayerStack& stack_;
  at::Tensor padding_block_;  // read and written by padding rows
  ops::GraphMemory memory_;
  mutable std::mutex mutex_;                       // guards idle_
  mutable std::list<std::unique_ptr<Step>> idle_;  // least recently used first
};

}  // namespace precis::models
