// SPDX-License-Identifier: Apache-2.0
#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "io/translate_errors.h"
#include "ops/kv_blocks.h"

namespace precis {
namespace {

// Prompts that are read whole: tokens in one pass, which bounds the activations of a batch.
constexpr int64_t kTokensPerPass = 4096;
// Prompts that are read in pieces: most tokens in one pass, so that arrivals and cancellations are
// seen, and fewest, since fewer tokens take as long as these.
constexpr int64_t kMostTokens = 1024;
constexpr int64_t kFewestTokens = 16;
// Before the speed of passes is known.
constexpr int64_t kFirstTokens = 64;

double milliseconds(std::chrono::duration<double, std::milli> duration) { return duration.count(); }

}  // namespace

Scheduler::Scheduler(Stages stages, const DecodeStage& decoding, SchedulerSettings settings)
    : stages_(std::move(stages)),
      settings_(std::move(settings)),
      batch_(decoding),
      last_step_(settings_.now()) {}

void Scheduler::add(ScheduledRequest request) {
  share_prefix(request.plan);
  requests_.push_back(
      std::make_unique<ServedRequest>(ServedRequest{std::move(request), settings_.now()}));
}

// Prompts that begin with the same tokens share their keys and values.
void Scheduler::share_prefix(PromptPlan& plan) {
  if (!plan.prefix) return;
  std::erase_if(prefixes_, [](const auto& prefix) { return prefix.expired(); });
  const auto equal = std::ranges::find_if(prefixes_, [&](const auto& prefix) {
    const auto known = prefix.lock();
    return known && known->tokens() == plan.prefix->tokens();
  });
  if (equal != prefixes_.end())
    plan.prefix = equal->lock();
  else
    prefixes_.push_back(plan.prefix);
  for (Segment& segment : plan.job.segments) segment.prefix = plan.prefix;
}

void Scheduler::step() {
  begin_step();
  compress();
  read();
}

void Scheduler::begin_step() {
  take_arrivals();
  drop();
  if (batch_.is_decoding()) {
    batch_.step();
    collect();
  }
  admit();
  last_step_ = settings_.now();
}

void Scheduler::take_arrivals() {
  if (!settings_.arrivals) return;
  Arrivals arrivals = settings_.arrivals();
  for (ScheduledRequest& request : arrivals.requests) add(std::move(request));
  if (arrivals.end) fail_all(arrivals.end);
}

// Ends requests that were cancelled or are overdue.
void Scheduler::drop() {
  const Clock::time_point now = settings_.now();
  for (const auto& request : requests_) {
    const auto& deadline = request->request.submission.deadline;
    const bool cancelled = request->request.record->is_cancelled();
    if (!cancelled && (!deadline || now < *deadline)) continue;
    const auto reason = cancelled ? Completion::Finish::kCancelled : Completion::Finish::kDeadline;
    if (request->sequence != nullptr) {
      request->sequence->answer.stop(reason);
      end_sequence(*request);
    } else {
      Completion nothing;
      nothing.finish = reason;
      end(*request, std::move(nothing));
    }
  }
  remove_ended();
}

// Ends requests whose sequences have ended.
void Scheduler::collect() {
  for (const auto& request : requests_) {
    if (request->sequence != nullptr && !request->sequence->answer.is_running())
      end_sequence(*request);
  }
  remove_ended();
}

void Scheduler::admit() {
  for (ServedRequest* request : in_order(RequestState::kQueued)) {
    if (!has_room_for(*request)) break;
    start(*request);
  }
  remove_ended();
}

bool Scheduler::has_room_for(const ServedRequest& request) const {
  int64_t blocks = batch_.shared_blocks() + request.request.most_blocks, running = 0;
  for (const auto& other : requests_) {
    if (other->has_ended || other->is(RequestState::kQueued)) continue;
    blocks += other->blocks;
    ++running;
  }
  return (settings_.max_blocks == 0 || blocks <= settings_.max_blocks) &&
         (settings_.max_running == 0 || running < settings_.max_running);
}

void Scheduler::start(ServedRequest& request) {
  request.blocks = request.request.most_blocks;
  request.queue_ms = milliseconds(settings_.now() - request.arrived);
  const CompressionJob& job = request.request.plan.job;
  leave_queue(request, job.segments.empty() ? RequestState::kReading : RequestState::kCompressing);
  if (job.segments.empty()) return prepare(request, {});
  for (const Segment& segment : job.segments) {
    const Shared shared = compressions_.of(segment, job.options);
    request.compressions.push_back(shared);
    if (std::ranges::count(shared->waiting, &request) == 0) shared->waiting.push_back(&request);
  }
}

void Scheduler::leave_queue(ServedRequest& request, RequestState next) {
  request.request.record->set_state(next);
  if (settings_.on_left_queue) settings_.on_left_queue();
}

void Scheduler::prepare(ServedRequest& request, CompressionResult result) {
  const ScheduledRequest& from = request.request;
  try {
    translate_errors([&] {
      Prepared prepared = finish(std::move(request.request.plan), std::move(result), stages_);
      request.savings = prepared.savings;
      request.compress_ms = prepared.compress_ms;
      request.sequence = &batch_.join({std::move(prepared.prompt),
                                       from.options,
                                       from.on_text,
                                       from.submission.on_token,
                                       from.submission.top_log_probabilities},
                                      Sequence::Clock::now());
    });
  } catch (const Error&) {
    return end(request, failed_completion(std::current_exception()));
  }
  // Full blocks of the beginning are counted once, with the batch's shared blocks.
  const auto& beginning = request.sequence->beginning;
  const int64_t shared = beginning ? beginning->cache.length(0) / ops::kBlockSize : 0;
  request.blocks = ops::blocks_for(request.savings.prompt_rows + from.options.max_tokens) - shared;
  from.record->set_state(RequestState::kReading);
}

void Scheduler::read() {
  for (std::vector<PromptChunk> chunks = next_chunks(); !chunks.empty(); chunks = next_chunks()) {
    const Clock::time_point start = settings_.now();
    int64_t tokens = 0;
    for (const PromptChunk& chunk : chunks) tokens += chunk.count;
    batch_.read(chunks);
    rate_.add(tokens, settings_.now() - start);
    if (settings_.prompt_budget) break;
  }
  batch_.draw_first_tokens();
  collect();
  for (const auto& request : requests_) {
    if (request->is(RequestState::kReading) && request->num_left() == 0)
      request->request.record->set_state(RequestState::kDecoding);
  }
}

// The tokens that the next pass reads.
std::vector<PromptChunk> Scheduler::next_chunks() {
  std::vector<PromptChunk> chunks;
  int64_t left = tokens_in_pass();
  for (ServedRequest* request : in_order(RequestState::kReading)) {
    const int64_t unread = request->num_left();
    if (unread == 0 || !request->sequence->answer.is_running()) continue;
    const int64_t count = settings_.prompt_budget ? std::min(unread, left) : unread;
    if (count > left && !chunks.empty()) break;
    chunks.push_back({request->sequence, count});
    left -= count;
    if (left <= 0) break;
  }
  return chunks;
}

int64_t Scheduler::tokens_in_pass() const {
  if (!settings_.prompt_budget) return kTokensPerPass;
  if (!batch_.is_decoding()) return kMostTokens;
  if (rate_.tokens_per_second() == 0) return kFirstTokens;
  const double tokens = rate_.tokens_per_second() * budget().count();
  return static_cast<int64_t>(std::clamp<double>(tokens, kFewestTokens, kMostTokens));
}

// Half for each if texts are compressed and prompts are read between the same two tokens.
std::chrono::duration<double> Scheduler::budget() const {
  return *settings_.prompt_budget / (in_progress_.empty() ? 1 : 2);
}

// Requests in this state, the next first. With a budget: by priority, then by tokens left, minus
// those that could have been read while the request waited. Queued requests keep their order of
// arrival: a long one would otherwise never find room.
std::vector<ServedRequest*> Scheduler::in_order(RequestState state) {
  std::vector<ServedRequest*> requests;
  for (const auto& request : requests_) {
    if (!request->has_ended && request->is(state)) requests.push_back(request.get());
  }
  if (!settings_.prompt_budget || requests.size() < 2) return requests;
  const Clock::time_point now = settings_.now();
  const auto rank = [&](const ServedRequest* request) {
    const std::chrono::duration<double> waited = now - request->arrived;
    const double left =
        state == RequestState::kQueued
            ? 0
            : static_cast<double>(request->num_left()) - waited.count() * rate_.tokens_per_second();
    // The complement: higher priorities first, without overflow.
    return std::pair(~request->request.submission.priority, left);
  };
  std::ranges::stable_sort(requests, {}, rank);
  return requests;
}

void Scheduler::end_sequence(ServedRequest& request) {
  Completion completion = request.sequence->answer.take_completion();
  completion.savings = request.savings;
  completion.timings.compress_ms = request.compress_ms;
  completion.timings.queue_ms = request.queue_ms;
  end(request, std::move(completion));
}

// Ends the record first: leaving the batch may need memory and fail, and callers that wait for the
// record are then woken all the same.
void Scheduler::end(ServedRequest& request, Completion completion) {
  request.has_ended = true;
  for (const Shared& own : std::exchange(request.compressions, {}))
    std::erase(own->waiting, &request);
  if (request.is(RequestState::kQueued) && settings_.on_left_queue) settings_.on_left_queue();
  if (const auto& on_end = request.request.submission.on_end) {
    try {
      translate_errors([&] { on_end(completion); });
    } catch (const Error& error) {
      log(LogLevel::kWarning, concat("request: its on_end callback threw: ", error.what()));
    }
  }
  request.request.record->end(std::move(completion));
  if (request.sequence != nullptr) batch_.leave(*std::exchange(request.sequence, nullptr));
}

void Scheduler::remove_ended() {
  std::erase_if(requests_, [](const auto& request) { return request->has_ended; });
}

void Scheduler::fail_all(const std::exception_ptr& error) {
  for (const auto& request : requests_) {
    if (!request->has_ended) end(*request, failed_completion(error));
  }
  remove_ended();
}

}  // namespace precis
