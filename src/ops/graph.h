// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace precis::ops {

// Memory for intermediate results, shared by graphs.
class GraphMemory {
 public:
  GraphMemory();
  ~GraphMemory();

 private:
  friend class Graph;
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

// A CUDA graph: GPU work that is captured once and replayed as one launch. Graphs share work spaces
// of libraries and, if given the same, GraphMemory. So they are captured and replayed on the
// device's default stream only, where one runs after the other.
class Graph {
 public:
  // Runs work() once as a warm-up, then captures it. work() has to give the same result when
  // repeated, to read and write the same memory each time, which lives as long as the graph, not to
  // wait for a GPU, and not to draw random numbers. Capture, release and replay are serialised
  // across threads. REQUIRES: a build with CUDA, and a GPU.
  Graph(const std::function<at::Tensor()>& work, const GraphMemory& memory);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  // Whether graphs may be captured and replayed on the current stream.
  static bool can_capture();

  // Queues the captured work. Returns a copy of its result, which this and other graphs overwrite.
  at::Tensor replay();

 private:
  struct Recorded;
  std::unique_ptr<Recorded> recorded_;
};

}  // namespace precis::ops
