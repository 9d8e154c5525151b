// SPDX-License-Identifier: Apache-2.0
#include "engine/prepare_batch.h"

#include <map>
#include <memory>
#include <utility>

#include "base/check.h"
#include "engine/sampler.h"
#include "io/translate_errors.h"

namespace precis {
namespace {

// Prompts that begin with the same tokens share their keys and values.
void share_prefixes(std::span<PromptPlan> plans) {
  std::map<std::vector<TokenId>, std::shared_ptr<const SharedPrefix>> known;
  for (PromptPlan& plan : plans) {
    if (!plan.prefix) continue;
    plan.prefix = known.try_emplace(plan.prefix->tokens(), plan.prefix).first->second;
    for (Segment& segment : plan.job.segments) segment.prefix = plan.prefix;
  }
}

std::vector<CompressionResult> compress(std::span<const PromptPlan> plans, const Stages& stages) {
  if (!stages.compression) return std::vector<CompressionResult>(plans.size());
  std::vector<CompressionJob> jobs;
  for (const PromptPlan& plan : plans) jobs.push_back(plan.job);
  return compress_jobs(*stages.compression, jobs);
}

// work(i) for each request i that has not failed; its error is the request's.
template <typename Work>
void for_each_without_error(std::vector<PreparedOrError>& requests, const Work& work) {
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].error) continue;
    try {
      translate_errors([&] { work(i); });
    } catch (const Error&) {
      requests[i].error = std::current_exception();
    }
  }
}

}  // namespace

std::vector<PreparedOrError> prepare_batch(std::span<const Request> requests,
                                           const Stages& stages) {
  std::vector<PreparedOrError> prepared(requests.size());
  std::vector<PromptPlan> plans(requests.size());
  for_each_without_error(prepared, [&](size_t i) {
    check_options(requests[i].options, stages);
    plans[i] = plan(requests[i].prompt, requests[i].options, stages);
  });
  share_prefixes(plans);
  std::vector<CompressionResult> results = compress(plans, stages);
  for_each_without_error(prepared, [&](size_t i) {
    prepared[i].prepared = finish(std::move(plans[i]), std::move(results[i]), stages);
  });
  return prepared;
}

void check_options(const GenerationOptions& options, const Stages& stages) {
  check_sampling(options);
  check_ids(options.stop_ids, stages.decoder, "generation options: stop_ids");
  check_ids(options.suppressed_ids, stages.decoder, "generation options: suppressed_ids");
  PRECIS_CHECK(stages.tokenizer.tokenizer != nullptr || options.stop.empty(),
               kInvalidArgument,
               "generate: the model has no tokenizer, and thus no text to find a stop text in");
}

}  // namespace precis
