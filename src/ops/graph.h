// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace precis::ops {

// Work on a GPU that is queued again as a whole, at the cost of one launch (a CUDA graph).
class Graph {
 public:
  // Does the work once, and records what it queues. It may be done again for nothing; it reads
  // and writes the same memory each time, which is there as long as the graph, and waits for no
  // GPU. What it returns lies in memory of the graph's own. REQUIRES: a build with CUDA, and a GPU.
  explicit Graph(const std::function<at::Tensor()>& work);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  // Queues the work on the current stream. What it leaves is overwritten by the next call.
  const at::Tensor& replay();

 private:
  struct Recorded;
  std::unique_ptr<Recorded> recorded_;
};

}  // namespace precis::ops
