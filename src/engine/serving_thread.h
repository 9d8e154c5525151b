// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/decode_batch.h"
#include "engine/prepare.h"
#include "engine/scheduler.h"
#include "precis/options.h"

namespace precis {

// Throws kInvalidArgument for options out of range.
void check_serving(const ServingOptions& options);

// Answers requests on a thread of its own, which has the batch and the cache. Borrows the
// components of the stages. submit() may be called from several threads at once.
class ServingThread {
 public:
  // Calls its argument on the engine's number of threads.
  using Run = std::function<void(const std::function<void()>& work)>;

  ServingThread(const Stages& stages,
                const DecodeStage& decoding,
                const ServingOptions& options,
                Run run);
  // Fails the requests that have not ended (kCancelled).
  ~ServingThread();

  // Throws kInvalidArgument for a request that the cache never has room for, kBusy if too many
  // requests wait.
  void submit(ScheduledRequest request);

 private:
  SchedulerSettings settings();
  void work();
  bool wait_for_arrivals();
  void serve();
  void step();
  Arrivals take_arrivals();

  ServingOptions options_;
  int64_t max_blocks_;  // 0: no limit
  Run run_;
  std::mutex mutex_;  // guards arrived_ and is_closed_
  std::condition_variable changed_;
  std::vector<ScheduledRequest> arrived_;
  bool is_closed_ = false;
  std::atomic<int64_t> num_queued_{0};
  Scheduler scheduler_;  // used by the thread only
  std::thread thread_;
};

}  // namespace precis
