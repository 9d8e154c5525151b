// SPDX-License-Identifier: Apache-2.0
// In place of graph_cuda.cc in a build without CUDA.
#include "base/check.h"
#include "ops/graph.h"

namespace precis::ops {

struct GraphMemory::Pool {};

GraphMemory::GraphMemory() = default;
GraphMemory::~GraphMemory() = default;

struct Graph::Recorded {
  at::Tensor result;
};

Graph::Graph(const std::function<at::Tensor()>&, const GraphMemory&) {
  fail(ErrorKind::kInternal, "a graph in a build without CUDA");
}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

bool Graph::can_capture() { return false; }

at::Tensor Graph::replay() { return recorded_->result; }

}  // namespace precis::ops
