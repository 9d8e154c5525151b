// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/decode_batch.h"
#include "engine/pass_rate.h"
#include "engine/prepare.h"
#include "engine/scheduled_request.h"
#include "engine/served_request.h"
#include "engine/shared_compressions.h"
#include "precis/extend/segment.h"

namespace precis {

// Requests that came since the last call.
struct Arrivals {
  std::vector<ScheduledRequest> requests = {};
  std::exception_ptr end = nullptr;  // not null: all requests fail with it
};

struct SchedulerSettings {
  using Clock = std::chrono::steady_clock;

  // Time for prompts between two tokens of an answer. None: a closed list of requests is answered
  // as fast as possible. All texts are then compressed in one call, and prompts are read whole, in
  // order of arrival, before any answer is decoded.
  std::optional<std::chrono::duration<double>> prompt_budget = {};
  int64_t max_blocks = 0;   // of the cache; 0: no limit
  int64_t max_running = 0;  // requests at once; 0: no limit
  std::function<Clock::time_point()> now = Clock::now;
  std::function<Arrivals()> arrivals = {};   // asked at the beginning of each step
  std::function<void()> on_left_queue = {};  // called for each request that is queued no longer
};

// Answers requests, which join and leave between steps. A step drops requests that were cancelled
// or are overdue, reads one token of each answer in one pass, admits requests for which the cache
// has room, compresses texts, and reads tokens of prompts. Equal texts are compressed once.
//
// With a budget, prompts are read in several passes, those of a higher priority first, then those
// with fewer tokens left; waiting counts as tokens. Compressors are interrupted where they report
// progress: the other requests then go on. Requests are admitted in order of priority and arrival.
//
// An error ends the requests that it concerns. Borrows the components of the stages. Not safe for
// use from several threads at once; callbacks are called by step().
class Scheduler {
 public:
  Scheduler(Stages stages, const DecodeStage& decoding, SchedulerSettings settings = {});

  void add(ScheduledRequest request);
  bool is_idle() const { return requests_.empty(); }
  void step();
  // Ends all requests.
  void fail_all(const std::exception_ptr& error);

  int64_t blocks_in_use() const { return batch_.blocks_in_use(); }

 private:
  using Clock = SchedulerSettings::Clock;
  using Shared = std::shared_ptr<SharedCompression>;

  void begin_step();
  void take_arrivals();
  void share_prefix(PromptPlan& plan);
  void drop();
  void collect();

  void admit();
  bool has_room_for(const ServedRequest& request) const;
  void start(ServedRequest& request);
  void leave_queue(ServedRequest& request, RequestState next);

  void compress();
  std::vector<Shared> next_compressions();
  CompressionJob job_of(const Shared& compression);
  bool report(SharedCompression& compression, double done);
  void go_on_with_others();
  void prepare_compressed();
  void prepare(ServedRequest& request, CompressionResult result);

  void read();
  std::vector<PromptChunk> next_chunks();
  int64_t tokens_in_pass() const;

  std::vector<ServedRequest*> in_order(RequestState state);
  std::chrono::duration<double> budget() const;
  void end(ServedRequest& request, Completion completion);
  void end_sequence(ServedRequest& request);
  void remove_ended();

  Stages stages_;
  SchedulerSettings settings_;
  DecodeBatch batch_;
  std::vector<std::unique_ptr<ServedRequest>> requests_;  // in order of arrival
  std::vector<std::weak_ptr<const SharedPrefix>> prefixes_;
  SharedCompressions compressions_;
  std::vector<Shared> in_progress_;  // in the call of the compressor that is running
  PassRate rate_;
  Clock::time_point last_step_;
};

}  // namespace precis
