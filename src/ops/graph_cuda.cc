// SPDX-License-Identifier: Apache-2.0
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/graph.h"

namespace precis::ops {

struct Graph::Recorded {
  at::cuda::CUDAGraph graph;
  at::Tensor result;
};

namespace {

// What has been queued on one stream comes before what is queued on the other from now on.
void put_before(const c10::cuda::CUDAStream& first, const c10::cuda::CUDAStream& second) {
  at::cuda::CUDAEvent event;
  event.record(first);
  event.block(second);
}

at::Tensor record(at::cuda::CUDAGraph& graph, const std::function<at::Tensor()>& work) {
  // Other threads may go on asking the GPU for memory.
  graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  try {
    at::Tensor result = work();
    graph.capture_end();
    return result;
  } catch (...) {
    try {
      graph.capture_end();  // else the stream stays unusable
    } catch (...) {
    }
    throw;
  }
}

}  // namespace

Graph::Graph(const std::function<at::Tensor()>& work) : recorded_(std::make_unique<Recorded>()) {
  const c10::cuda::CUDAStream current = c10::cuda::getCurrentCUDAStream();
  // The default stream cannot be recorded.
  const c10::cuda::CUDAStream side = c10::cuda::getStreamFromPool(/*isHighPriority=*/false);
  put_before(current, side);
  {
    const c10::cuda::CUDAStreamGuard guard(side);
    work();  // libraries make their handles and work spaces when they are first used
    recorded_->result = record(recorded_->graph, work);
  }
  put_before(side, current);
}

Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

const at::Tensor& Graph::replay() {
  recorded_->graph.replay();
  return recorded_->result;
}

}  // namespace precis::ops
