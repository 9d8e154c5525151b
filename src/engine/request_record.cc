// SPDX-License-Identifier: Apache-2.0
#include "engine/request_record.h"

#include <utility>

namespace precis {
namespace {

RequestState final_state(const Completion& completion) {
  switch (completion.finish) {
    case Completion::Finish::kError:
      return RequestState::kFailed;
    case Completion::Finish::kCancelled:
      return RequestState::kCancelled;
    default:
      return RequestState::kFinished;
  }
}

}  // namespace

Completion failed_completion(std::exception_ptr error) {
  Completion completion;
  completion.finish = Completion::Finish::kError;
  completion.error = std::move(error);
  return completion;
}

void RequestRecord::end(Completion completion) {
  const std::lock_guard lock(mutex_);
  state_.store(final_state(completion));
  completion_ = std::move(completion);
  ended_.notify_all();
}

void RequestRecord::wait() const {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return completion_.has_value(); });
}

bool RequestRecord::wait_for(std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, timeout, [this] { return completion_.has_value(); });
}

Completion RequestRecord::completion() const {
  const std::lock_guard lock(mutex_);
  return *completion_;
}

Completion RequestRecord::take_completion() {
  const std::lock_guard lock(mutex_);
  return *std::exchange(completion_, std::nullopt);
}

}  // namespace precis
