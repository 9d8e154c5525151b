// SPDX-License-Identifier: Apache-2.0
// In place of graph_cuda.cc in a build without CUDA.
#include "base/check.h"
#include "ops/graph.h"

namespace precis::ops {

struct Graph::Recorded {
  at::Tensor result;
};

Graph::Graph(const std::function<at::Tensor()>&) {
  fail(ErrorKind::kInternal, "a graph in a build without CUDA");
}
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

const at::Tensor& Graph::replay() { return recorded_->result; }

}  // namespace precis::ops
