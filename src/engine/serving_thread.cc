// SPDX-License-Identifier: Apache-2.0
#include "engine/serving_thread.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "io/translate_errors.h"
#include "ops/kv_blocks.h"

namespace precis {
namespace {

constexpr double kLongestBudget = 1e6;  // milliseconds

// Of the cache. At least one, since 0 is no limit.
int64_t max_blocks(const ServingOptions& options, const Decoder& decoder) {
  if (options.cache_bytes == 0) return 0;
  const auto element = static_cast<int64_t>(decoder.options().dtype().itemsize());
  const int64_t bytes = ops::kBlockSize * decoder.config().kv_shape().bytes_per_token(element);
  return std::max<int64_t>(1, options.cache_bytes / bytes);
}

std::exception_ptr closed() {
  return std::make_exception_ptr(
      Error(ErrorKind::kCancelled,
            "request: the engine was destroyed before the request had ended; keep it until "
            "RequestHandle::wait() returns"));
}

}  // namespace

void check_serving(const ServingOptions& options) {
  PRECIS_CHECK(
      options.cache_bytes >= 0 && options.max_running >= 0 && options.max_queued >= 0,
      kInvalidArgument,
      "serving options: cache_bytes, max_running and max_queued must not be negative, got ",
      options.cache_bytes,
      ", ",
      options.max_running,
      " and ",
      options.max_queued);
  PRECIS_CHECK(options.prompt_budget_ms > 0 && options.prompt_budget_ms <= kLongestBudget,
               kInvalidArgument,
               "serving options: prompt_budget_ms is ",
               options.prompt_budget_ms,
               ", expected above 0, at most ",
               kLongestBudget);
}

ServingThread::ServingThread(const Stages& stages,
                             const DecodeStage& decoding,
                             const ServingOptions& options,
                             Run run)
    : options_(options),
      max_blocks_(max_blocks(options, decoding.decoder)),
      run_(std::move(run)),
      scheduler_(stages, decoding, settings()),
      thread_([this] { work(); }) {}

SchedulerSettings ServingThread::settings() {
  SchedulerSettings settings;
  settings.prompt_budget = std::chrono::duration<double, std::milli>(options_.prompt_budget_ms);
  settings.max_blocks = max_blocks_;
  settings.max_running = options_.max_running;
  settings.arrivals = [this] { return take_arrivals(); };
  settings.on_left_queue = [this] { --num_queued_; };
  return settings;
}

ServingThread::~ServingThread() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ServingThread::submit(ScheduledRequest request) {
  PRECIS_CHECK(max_blocks_ == 0 || request.most_blocks <= max_blocks_,
               kInvalidArgument,
               "request: its prompt and max_tokens need up to ",
               request.most_blocks,
               " blocks of ",
               ops::kBlockSize,
               " tokens in the cache, which has ",
               max_blocks_,
               "; a larger ServingOptions::cache_bytes, fewer max_tokens or a higher compression "
               "ratio help");
  {
    const std::lock_guard lock(mutex_);
    const int64_t waiting = num_queued_.load();
    PRECIS_CHECK(options_.max_queued == 0 || waiting < options_.max_queued,
                 kBusy,
                 "request: ",
                 waiting,
                 " others wait, which is the most (ServingOptions::max_queued); try again later");
    arrived_.push_back(std::move(request));
    ++num_queued_;
  }
  changed_.notify_all();
}

void ServingThread::work() {
  while (wait_for_arrivals()) {
    try {
      run_([this] { serve(); });
    } catch (const Error& error) {
      log(LogLevel::kWarning, concat("serving: ", error.what()));
    }
  }
}

// Whether requests have arrived; false: there will be none.
bool ServingThread::wait_for_arrivals() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_closed_ || !arrived_.empty(); });
  return !arrived_.empty();
}

// Steps until all requests have ended.
void ServingThread::serve() {
  const c10::InferenceMode inference;
  do {
    step();
  } while (!scheduler_.is_idle());
}

// Errors that concern no single request end all of them.
void ServingThread::step() {
  try {
    translate_errors([&] { scheduler_.step(); });
  } catch (const Error&) {
    scheduler_.fail_all(std::current_exception());
  }
}

Arrivals ServingThread::take_arrivals() {
  const std::lock_guard lock(mutex_);
  return {std::exchange(arrived_, {}), is_closed_ ? closed() : nullptr};
}

}  // namespace precis
