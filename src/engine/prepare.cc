// SPDX-License-Identifier: Apache-2.0
#include "engine/prepare.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "memory/memory_contents.h"
#include "prompt/apply_template.h"
#include "prompt/embeddings.h"
#include "prompt/fit.h"
#include "prompt/layout.h"

namespace precis {
namespace {

// Tokens of a prompt's text before compression.
int64_t num_source_tokens(std::span<const PromptItem> items) {
  int64_t count = 0;
  for (const PromptItem& item : items) {
    if (const TokenSpan* tokens = tokens_of(item)) count += tokens->size();
    if (const auto* memory = std::get_if<Memory>(&item))
      count += memory->provenance().source_tokens;
  }
  return count;
}

int64_t num_verbatim_tokens(std::span<const PromptItem> items) {
  int64_t count = 0;
  for (const PromptItem& item : items) {
    if (const TokenSpan* tokens = tokens_of(item)) count += tokens->size();
  }
  return count;
}

void add_continuation_mark(const Stages& stages, std::vector<PromptItem>& items) {
  if (!stages.compression || !ends_on_memory(items)) return;
  MemoryTemplate mark;
  mark.after = stages.compression->compressor.memory_template(MemoryUse::kContinue).after;
  if (mark.after.empty()) return;
  Prompt prompt;
  apply_template(mark, {}, {}, stages.decoder, prompt);
  for (PromptItem& item : tokenize(prompt, {})) items.push_back(std::move(item));
}

// Text that does not fit the window, with the tokens that are to follow, is compressed into
// memories that take fewer positions, unless the caller asks for others.
CompressOptions compression_for(std::span<const PromptItem> items,
                                const GenerationOptions& options,
                                const Stages& stages) {
  CompressOptions compression = options.compression;
  const int64_t window = stages.decoder.config().context_length;
  if (!compression.positions && num_source_tokens(items) > window - options.max_tokens)
    compression.positions = MemoryPositions::kRows;
  return compression;
}

void check_embeddings(const Embeddings& embeddings, const Decoder& decoder) {
  const std::string& model = embeddings.contents().model_fingerprint;
  PRECIS_CHECK(model == decoder.fingerprint(),
               kInvalidArgument,
               "prompt: embeddings for model ",
               model,
               ", this one is ",
               model_in_words(decoder.fingerprint(), decoder.config().name));
}

// Before any check of sizes, which mean nothing for another model's memories.
void check_models(std::span<const PromptItem> items, const Decoder& decoder) {
  for (const PromptItem& item : items) {
    if (const auto* memory = std::get_if<Memory>(&item)) check_memory(*memory, decoder);
    if (const auto* own = std::get_if<Embeddings>(&item)) check_embeddings(*own, decoder);
  }
}

OverflowRules rules_for(const GenerationOptions& options,
                        const CompressOptions& compression,
                        const Stages& stages) {
  const int64_t model_window = stages.decoder.config().context_length;
  const int64_t window =
      options.context_limit > 0 ? std::min(options.context_limit, model_window) : model_window;
  PRECIS_CHECK(options.max_tokens <= window,
               kInvalidArgument,
               "prompt: ",
               options.max_tokens,
               " tokens to follow are over the limit of ",
               window);
  OverflowRules rules{options.overflow, window - options.max_tokens, {}};
  if (stages.compression) {
    const Compressor& compressor = stages.compression->compressor;
    rules.memory_size = [&](int64_t n) { return compressor.memory_size(n, compression); };
  }
  return rules;
}

std::vector<PromptItem> fit_window(std::vector<PromptItem> items,
                                   const GenerationOptions& options,
                                   const CompressOptions& compression,
                                   const Stages& stages) {
  std::vector<PromptItem> fitting = fit(std::move(items), rules_for(options, compression, stages));
  remove_bos_before_cached(fitting, stages.tokenizer.cached_memories);
  for (const PromptItem& item : fitting) {
    if (const TokenSpan* tokens = tokens_of(item)) check_ids(tokens->ids, stages.decoder, "prompt");
  }
  return fitting;
}

void plan_compression(const CompressorInfo& info, PromptPlan& planned) {
  if (std::ranges::none_of(planned.items, is_to_be_compressed)) return;
  check_cached_places(planned.items, info);
  if (info.reads_prefix) planned.prefix = kept_prefix(planned.items);
  for (const PromptItem& item : planned.items) {
    if (is_to_be_compressed(item))
      planned.job.segments.push_back({tokens_of(item)->ids, planned.prefix});
  }
}

Savings savings_of(const PromptPlan& plan, const SplicedPrompt& prompt, const Decoder& decoder) {
  Savings savings;
  savings.prompt_tokens = plan.prompt_tokens;
  savings.prompt_rows = prompt.cache_length();
  for (const Segment& segment : plan.job.segments)
    savings.compressed_tokens += std::ssize(segment.tokens);
  savings.memory_rows = savings.prompt_rows - num_verbatim_tokens(plan.items);
  const auto element = static_cast<int64_t>(decoder.options().dtype().itemsize());
  savings.kv_bytes_saved = (savings.prompt_tokens - savings.prompt_rows) *
                           decoder.config().kv_shape().bytes_per_token(element);
  savings.rows_read = prompt.num_computed_tokens();
  return savings;
}

}  // namespace

PromptPlan plan(const Prompt& prompt,
                const GenerationOptions& options,
                const Stages& stages,
                Continuation continuation) {
  PromptPlan planned;
  std::vector<PromptItem> items = tokenize(prompt, stages.tokenizer);
  check_models(items, stages.decoder);
  planned.prompt_tokens = num_source_tokens(items);
  planned.max_tokens = options.max_tokens;
  planned.continuation = continuation;
  if (continuation == Continuation::kText) add_continuation_mark(stages, items);
  planned.job.options = compression_for(items, options, stages);
  planned.items = fit_window(std::move(items), options, planned.job.options, stages);
  if (stages.compression) plan_compression(stages.compression->info, planned);
  return planned;
}

Prepared finish(PromptPlan plan, CompressionResult result, const Stages& stages) {
  if (result.error) std::rethrow_exception(result.error);
  auto next = result.memories.begin();
  for (PromptItem& item : plan.items) {
    if (is_to_be_compressed(item)) item = std::move(*next++);
  }
  const PromptLayout layout =
      lay_out(plan.items, stages.decoder.config(), plan.prefix, plan.max_tokens);
  if (plan.continuation == Continuation::kAnswer) check_has_inputs(layout);
  Prepared prepared;
  prepared.prompt = splice(layout, stages.decoder);
  prepared.savings = savings_of(plan, prepared.prompt, stages.decoder);
  prepared.compress_ms = result.ms;
  return prepared;
}

Prepared prepare(const Prompt& prompt,
                 const GenerationOptions& options,
                 const Stages& stages,
                 Continuation continuation) {
  PromptPlan planned = plan(prompt, options, stages, continuation);
  CompressionResult result;
  if (!planned.job.segments.empty())
    result = std::move(compress_jobs(*stages.compression, {&planned.job, 1}).front());
  return finish(std::move(planned), std::move(result), stages);
}

int64_t count_tokens(const Prompt& prompt, const Stages& stages) {
  return num_source_tokens(tokenize(prompt, stages.tokenizer));
}

void check_ids(std::span<const TokenId> ids, const Decoder& decoder, const char* where) {
  for (const TokenId id : ids) {
    PRECIS_CHECK(id >= 0 && id < decoder.config().vocab_size,
                 kInvalidArgument,
                 where,
                 ": id ",
                 id,
                 " is outside the vocabulary of ",
                 decoder.config().vocab_size);
  }
}

}  // namespace precis
