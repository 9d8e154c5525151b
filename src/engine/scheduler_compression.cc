// SPDX-License-Identifier: Apache-2.0
// Compression in a scheduler: which texts are in a call of the compressor, and what goes on during
// it.
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "engine/scheduler.h"
#include "precis/error.h"

namespace precis {
namespace {

// Tokens that are compressed in one call while requests may arrive, since many compressors read so
// many in a pass without a report; longer texts are alone in it.
constexpr int64_t kTokensPerCompression = 1024;

}  // namespace

void Scheduler::compress() {
  in_progress_ = next_compressions();
  if (!in_progress_.empty()) {
    std::vector<CompressionJob> jobs;
    for (const Shared& compression : in_progress_) jobs.push_back(job_of(compression));
    std::vector<CompressionResult> results = compress_jobs(*stages_.compression, jobs);
    for (size_t i = 0; i < results.size(); ++i) {
      in_progress_[i]->result = std::move(results[i]);
      in_progress_[i]->is_done = true;
    }
    in_progress_.clear();
  }
  prepare_compressed();
}

// Those that the next call of the compressor makes.
std::vector<Scheduler::Shared> Scheduler::next_compressions() {
  std::vector<Shared> next;
  int64_t tokens = 0;
  for (ServedRequest* request : in_order(RequestState::kCompressing)) {
    for (const Shared& own : request->compressions) {
      if (own->is_started) continue;
      const int64_t size = std::ssize(own->segment.tokens);
      const bool fits = next.empty() || !settings_.prompt_budget ||
                        (tokens + size <= kTokensPerCompression &&
                         have_equal_settings(next.front()->options, own->options));
      if (!fits) continue;
      own->is_started = true;
      tokens += size;
      next.push_back(own);
      for (ServedRequest* waiting : own->waiting) {
        if (waiting->reporter == nullptr) waiting->reporter = own.get();
      }
    }
  }
  return next;
}

CompressionJob Scheduler::job_of(const Shared& compression) {
  CompressionJob job{{compression->segment}, compression->options};
  const bool is_reported =
      std::ranges::any_of(compression->waiting, [](const ServedRequest* request) {
        return bool{request->request.plan.job.options.progress};
      });
  if (is_reported || settings_.prompt_budget)
    job.options.progress = [this, compression](double done) { return report(*compression, done); };
  return job;
}

// The progress of a compression. Whether it goes on.
bool Scheduler::report(SharedCompression& compression, double done) {
  std::vector<ServedRequest*> stopped;
  for (ServedRequest* request : compression.waiting) {
    const CompressProgress& progress = request->request.plan.job.options.progress;
    if (progress && request->reporter == &compression && !progress(done))
      stopped.push_back(request);
  }
  // The compressor's error then ends the requests.
  if (!stopped.empty() && stopped.size() == compression.waiting.size()) return false;
  for (ServedRequest* request : stopped)
    end(*request,
        failed_completion(
            std::make_exception_ptr(Error(ErrorKind::kCancelled, "compress: cancelled"))));
  if (settings_.prompt_budget) go_on_with_others();
  return std::ranges::any_of(in_progress_, [](const Shared& own) { return !own->waiting.empty(); });
}

// Continues the other requests while a compressor is running.
void Scheduler::go_on_with_others() {
  if (settings_.now() - last_step_ < budget()) return;
  const c10::NoGradGuard no_grad;  // what refines memories computes gradients
  begin_step();
  read();
  last_step_ = settings_.now();
}

void Scheduler::prepare_compressed() {
  for (const auto& request : requests_) {
    if (!request->is(RequestState::kCompressing) || !request->is_compressed()) continue;
    CompressionResult all;
    for (const Shared& own : request->compressions) {
      if (!all.error) all.error = own->result.error;
      all.memories.insert(
          all.memories.end(), own->result.memories.begin(), own->result.memories.end());
      all.ms = std::max(all.ms, own->result.ms);
    }
    for (const Shared& own : std::exchange(request->compressions, {}))
      std::erase(own->waiting, request.get());
    prepare(*request, std::move(all));
  }
  remove_ended();
}

}  // namespace precis
