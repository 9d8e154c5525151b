// SPDX-License-Identifier: Apache-2.0
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <mutex>

#include "ops/graph.h"

namespace precis::ops {

struct GraphMemory::Pool {
  at::cuda::MempoolId_t id = at::cuda::graph_pool_handle();
};

GraphMemory::GraphMemory() : pool_(std::make_unique<Pool>()) {}
GraphMemory::~GraphMemory() = default;

struct Graph::Recorded {
  at::cuda::CUDAGraph graph;
  at::Tensor result;
};

namespace {

// Held while a graph is captured or released: libtorch's list of graphs is not safe for use from
// several threads.
std::mutex& capture_mutex() {
  static std::mutex mutex;
  return mutex;
}

// The stream to capture on: the default stream cannot be captured, and a stream of libtorch's pool
// may be another thread's, too. REQUIRES: capture_mutex() is held.
c10::cuda::CUDAStream capture_stream() {
  static std::map<c10::DeviceIndex, cudaStream_t> streams;
  const c10::DeviceIndex device = c10::cuda::current_device();
  cudaStream_t& own = streams[device];
  if (own == nullptr) C10_CUDA_CHECK(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
  return c10::cuda::getStreamFromExternal(own, device);
}

// Work that is queued on `second` from now on waits for all that has been queued on `first`.
void order(const c10::cuda::CUDAStream& first, const c10::cuda::CUDAStream& second) {
  at::cuda::CUDAEvent event;
  event.record(first);
  event.block(second);
}

// Makes the capture stream current, ordered after the current stream's earlier work and before its
// later work, also if an exception is thrown.
class CaptureStreamGuard {
 public:
  CaptureStreamGuard() : current_(c10::cuda::getCurrentCUDAStream()), side_(capture_stream()) {
    order(current_, side_);
    guard_.reset_stream(side_);
  }
  ~CaptureStreamGuard() {
    try {
      order(side_, current_);
    } catch (...) {  // the next call reports the GPU's error
    }
  }
  CaptureStreamGuard(const CaptureStreamGuard&) = delete;
  CaptureStreamGuard& operator=(const CaptureStreamGuard&) = delete;

 private:
  c10::cuda::CUDAStream current_, side_;
  c10::cuda::OptionalCUDAStreamGuard guard_;
};

}  // namespace

Graph::Graph(const std::function<at::Tensor()>& work, const GraphMemory& memory) {
  const std::lock_guard lock(capture_mutex());
  const CaptureStreamGuard guard;
  work();  // warm-up: libraries create handles and work spaces on first use
  auto recorded = std::make_unique<Recorded>();
  // Other threads may allocate GPU memory during the capture.
  recorded->graph.capture_begin(memory.pool_->id, cudaStreamCaptureModeThreadLocal);
  try {
    recorded->result = work();
    recorded->graph.capture_end();
  } catch (...) {
    try {
      recorded->graph.capture_end();  // otherwise the stream stays unusable
    } catch (...) {
      // Not released, since the allocator may still ask it which stream is captured.
      static_cast<void>(recorded.release());
    }
    throw;
  }
  recorded_ = std::move(recorded);
}

Graph::~Graph() {
  if (recorded_ == nullptr) return;
  const std::lock_guard lock(capture_mutex());
  recorded_.reset();
}
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

bool Graph::can_capture() {
  return c10::cuda::getCurrentCUDAStream() == c10::cuda::getDefaultCUDAStream();
}

at::Tensor Graph::replay() {
  // Another graph may overwrite the result once it is replayed.
  const std::lock_guard lock(capture_mutex());
  recorded_->graph.replay();
  return recorded_->result.clone();
}

}  // namespace precis::ops
