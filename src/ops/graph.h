// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace precis::ops {

// Memory that recordings have in common for what they compute on the way.
class GraphMemory {
 public:
  GraphMemory();
  ~GraphMemory();

 private:
  friend class Graph;
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

// Work on a GPU that is queued again as a whole, at the cost of one launch (a CUDA graph).
// Recordings share work spaces of libraries and, where they are given the same, memory: they are
// made and queued again on the device's default stream only, where one comes after the other.
class Graph {
 public:
  // Does the work once, and records what it queues. It may be done again for nothing; it reads and
  // writes the same memory each time, which is there as long as the graph, waits for no GPU and
  // draws no random numbers. Recording, releasing and queueing is done by one thread at a time.
  // REQUIRES: a build with CUDA, and a GPU.
  Graph(const std::function<at::Tensor()>& work, const GraphMemory& memory);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  // Whether the current stream is one to record and replay on.
  static bool can_capture();

  // Queues the work, and a copy of what it leaves: this and other recordings overwrite that.
  at::Tensor replay();

 private:
  struct Recorded;
  std::unique_ptr<Recorded> recorded_;
};

}  // namespace precis::ops
