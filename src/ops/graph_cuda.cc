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

// Held while a graph is recorded or released: libtorch keeps a list of them that knows no threads.
std::mutex& recorder() {
  static std::mutex mutex;
  return mutex;
}

// The default stream cannot be recorded, and a stream of the pool may be another thread's, too.
// REQUIRES: recorder() is held.
c10::cuda::CUDAStream recording_stream() {
  static std::map<c10::DeviceIndex, cudaStream_t> streams;
  const c10::DeviceIndex device = c10::cuda::current_device();
  cudaStream_t& own = streams[device];
  if (own == nullptr) C10_CUDA_CHECK(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
  return c10::cuda::getStreamFromExternal(own, device);
}

// What has been queued on one stream comes before what is queued on the other from now on.
void put_before(const c10::cuda::CUDAStream& first, const c10::cuda::CUDAStream& second) {
  at::cuda::CUDAEvent event;
  event.record(first);
  event.block(second);
}

// A side stream between two points of the current one, also where work throws.
class Detour {
 public:
  Detour() : current_(c10::cuda::getCurrentCUDAStream()), side_(recording_stream()) {
    put_before(current_, side_);
    guard_.reset_stream(side_);
  }
  ~Detour() {
    try {
      put_before(side_, current_);
    } catch (...) {  // a GPU that fails says so at the next call
    }
  }
  Detour(const Detour&) = delete;
  Detour& operator=(const Detour&) = delete;

 private:
  c10::cuda::CUDAStream current_, side_;
  c10::cuda::OptionalCUDAStreamGuard guard_;
};

}  // namespace

Graph::Graph(const std::function<at::Tensor()>& work, const GraphMemory& memory) {
  const std::lock_guard lock(recorder());
  const Detour detour;
  work();  // libraries make their handles and work spaces when they are first used
  auto recorded = std::make_unique<Recorded>();
  // Other threads may go on asking the GPU for memory.
  recorded->graph.capture_begin(memory.pool_->id, cudaStreamCaptureModeThreadLocal);
  try {
    recorded->result = work();
    recorded->graph.capture_end();
  } catch (...) {
    try {
      recorded->graph.capture_end();  // else the stream stays unusable
    } catch (...) {
      // The allocator may still ask it which stream is recorded: it is not released.
      static_cast<void>(recorded.release());
    }
    throw;
  }
  recorded_ = std::move(recorded);
}

Graph::~Graph() {
  if (recorded_ == nullptr) return;
  const std::lock_guard lock(recorder());
  recorded_.reset();
}
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

bool Graph::can_capture() {
  return c10::cuda::getCurrentCUDAStream() == c10::cuda::getDefaultCUDAStream();
}

at::Tensor Graph::replay() {
  // Another recording may overwrite the result as soon as it is queued.
  const std::lock_guard lock(recorder());
  recorded_->graph.replay();
  return recorded_->result.clone();
}

}  // namespace precis::ops
