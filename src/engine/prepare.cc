// SPDX-License-Identifier: Apache-2.0
#include "engine/prepare.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/check.h"
#include "prompt/overflow.h"
#include "prompt/template_items.h"

namespace precis {
namespace {

int64_t tokens_of(const std::vector<PromptPart>& parts) {
  int64_t tokens = 0;
  for (const PromptPart& part : parts)
    tokens += part.memory ? part.memory->provenance().source_tokens : part.num_tokens();
  return tokens;
}

int64_t kept_tokens_of(const std::vector<PromptPart>& parts) {
  int64_t tokens = 0;
  for (const PromptPart& part : parts) tokens += part.num_tokens();
  return tokens;
}

// Trained rows of a template travel as memories too, and stand for no text.
bool ends_on_memory(const std::vector<PromptPart>& parts) {
  if (parts.back().memory) return parts.back().memory->provenance().source_tokens > 0;
  return parts.back().treatment == Prompt::Treatment::kCompress;
}

void add_continuation_mark(const Stages& stages, std::vector<PromptPart>& parts) {
  if (!stages.compression || !ends_on_memory(parts)) return;
  const MemoryTemplate around =
      stages.compression->compressor.memory_template(MemoryUse::kContinue);
  for (PromptPart& mark : template_items(around.after, stages.decoder))
    parts.push_back(std::move(mark));
}

// Before context stands a BOS, but not before text that becomes a cached memory, which was read
// with the BOS that its compressor wants: only now it is known which of the two it is.
void drop_bos_before_cached(const Stages& stages, std::vector<PromptPart>& parts) {
  if (stages.tokenizer.cached_memories && parts.size() > 1 && parts[0].implied_bos &&
      parts[1].treatment == Prompt::Treatment::kCompress)
    parts.erase(parts.begin());
}

// Text that is longer than the window, with what is to follow, gets memories that stand closer,
// where nothing else was asked for.
CompressOptions compression_for(const std::vector<PromptPart>& parts,
                                const GenerationOptions& options,
                                const Stages& stages) {
  CompressOptions compression = options.compression;
  const int64_t window = stages.decoder.config().context_length;
  if (!compression.positions && tokens_of(parts) > window - options.max_tokens)
    compression.positions = MemoryPositions::kRows;
  return compression;
}

// Before anything is said of their sizes: those of another model's mean nothing here.
void check_memories(const std::vector<PromptPart>& parts, const Decoder& decoder) {
  for (const PromptPart& part : parts) {
    if (part.memory) check_memory(*part.memory, decoder);
  }
}

std::vector<PromptPart> fit_window(std::vector<PromptPart> parts,
                                   const GenerationOptions& options,
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
  std::vector<PromptPart> fitting = fit(std::move(parts), rules);
  drop_bos_before_cached(stages, fitting);
  for (const PromptPart& part : fitting) check_ids(part.tokens, stages.decoder, "prompt");
  return fitting;
}

Savings savings_of(const CompressedPrompt& compressed,
                   int64_t prompt_tokens,
                   int64_t prompt_rows,
                   const Decoder& decoder) {
  Savings savings;
  savings.prompt_tokens = prompt_tokens;
  savings.prompt_rows = prompt_rows;
  savings.compressed_tokens = compressed.compressed_tokens;
  savings.memory_rows = prompt_rows - kept_tokens_of(compressed.parts);
  const auto element = static_cast<int64_t>(decoder.options().dtype().itemsize());
  savings.kv_bytes_saved =
      (prompt_tokens - prompt_rows) * decoder.config().kv_shape().bytes_per_token(element);
  return savings;
}

}  // namespace

Prepared prepare(const Prompt& prompt,
                 const GenerationOptions& options,
                 const Stages& stages,
                 Continuation continuation) {
  std::vector<PromptPart> parts = tokenize(prompt, stages.tokenizer);
  check_memories(parts, stages.decoder);
  const int64_t prompt_tokens = tokens_of(parts);
  if (continuation == Continuation::kText) add_continuation_mark(stages, parts);
  const CompressOptions compression = compression_for(parts, options, stages);
  CompressedPrompt compressed{
      fit_window(std::move(parts), options, compression, stages), nullptr, 0};
  Prepared prepared;
  if (stages.compression) {
    const auto start = std::chrono::steady_clock::now();
    compressed = compress(std::move(compressed.parts), *stages.compression, compression);
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    prepared.compress_ms = compressed.compressed_tokens > 0 ? elapsed.count() : 0;
  }
  prepared.prompt = splice(compressed.parts, stages.decoder, compressed.prefix, options.max_tokens);
  prepared.savings =
      savings_of(compressed, prompt_tokens, prepared.prompt.num_rows(), stages.decoder);
  prepared.savings.rows_read = prepared.prompt.num_rows_read();
  return prepared;
}

int64_t count_tokens(const Prompt& prompt, const Stages& stages) {
  return tokens_of(tokenize(prompt, stages.tokenizer));
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
