// SPDX-License-Identifier: Apache-2.0
#include "engine/scheduled_request.h"

#include "base/check.h"
#include "engine/sampler.h"
#include "ops/kv_blocks.h"

namespace precis {
namespace {

// Tokens that an item of a prompt takes in the cache.
int64_t cached_tokens(const PromptItem& item, const PromptPlan& plan, const Stages& stages) {
  if (const auto* memory = std::get_if<Memory>(&item)) return memory->num_tokens();
  if (const auto* embeddings = std::get_if<Embeddings>(&item)) return embeddings->size();
  const int64_t size = tokens_of(item)->size();
  if (!is_to_be_compressed(item)) return size;
  return stages.compression->compressor.memory_size(size, plan.job.options);
}

}  // namespace

int64_t most_blocks(const PromptPlan& plan, const Stages& stages) {
  int64_t tokens = plan.max_tokens;
  for (const PromptItem& item : plan.items) tokens += cached_tokens(item, plan, stages);
  // One more: a sequence has a copy of the last block of its beginning, which may not be full.
  return ops::blocks_for(tokens) + 1;
}

void check_options(const GenerationOptions& options, const Stages& stages) {
  check_sampling(options);
  check_ids(options.stop_ids, stages.decoder, "generation options: stop_ids");
  check_ids(options.suppressed_ids, stages.decoder, "generation options: suppressed_ids");
  PRECIS_CHECK(stages.tokenizer.tokenizer != nullptr || options.stop.empty(),
               kInvalidArgument,
               "generate: the model has no tokenizer, and thus no text to find a stop text in");
}

ScheduledRequest schedule(const Request& request,
                          const SubmitOptions& submission,
                          const Stages& stages,
                          std::span<const TokenId> reserved_ids) {
  check_options(request.options, stages);
  PRECIS_CHECK(submission.top_log_probabilities.value_or(0) >= 0,
               kInvalidArgument,
               "submit options: top_log_probabilities is ",
               *submission.top_log_probabilities,
               ", expected at least 0");
  ScheduledRequest scheduled{plan(request.prompt, request.options, stages),
                             request.options,
                             request.on_text,
                             submission,
                             std::make_shared<RequestRecord>()};
  std::vector<TokenId>& suppressed = scheduled.options.suppressed_ids;
  suppressed.insert(suppressed.end(), reserved_ids.begin(), reserved_ids.end());
  return scheduled;
}

}  // namespace precis
