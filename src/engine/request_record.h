// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>

#include "precis/completion.h"
#include "precis/serving.h"

namespace precis {

// The completion of a request that failed before it had a sequence.
Completion failed_completion(std::exception_ptr error);

// The part of a request that its handles and the scheduler share. Safe for use from several threads
// at once.
class RequestRecord {
 public:
  RequestState state() const { return state_.load(); }
  void set_state(RequestState state) { state_.store(state); }

  void cancel() { cancelled_.store(true); }
  bool is_cancelled() const { return cancelled_.load(); }

  // Sets completion and final state, and wakes those who wait. REQUIRES: called once.
  void end(Completion completion);

  void wait() const;
  bool wait_for(std::chrono::milliseconds timeout) const;
  // A copy. REQUIRES: the request has ended.
  Completion completion() const;
  // REQUIRES: the request has ended. To be called once.
  Completion take_completion();

 private:
  std::atomic<RequestState> state_{RequestState::kQueued};
  std::atomic<bool> cancelled_{false};
  mutable std::mutex mutex_;  // guards completion_
  mutable std::condition_variable ended_;
  std::optional<Completion> completion_;
};

}  // namespace precis
