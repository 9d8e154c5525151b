// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "engine/sampler.h"
#include "engine/stop_matcher.h"
#include "precis/completion.h"
#include "precis/engine.h"
#include "precis/extend/tokenizer.h"
#include "precis/options.h"
#include "precis/serving.h"
#include "prompt/splice.h"
#include "tokenizers/text_stream.h"

namespace precis {

// A prompt that is ready to be decoded, with its own options.
struct DecodeRequest {
  SplicedPrompt prompt;
  GenerationOptions options = {};
  TextCallback on_text = {};  // receives the generated text; may be empty
  TokenCallback on_token = {};
  std::optional<int64_t> top_log_probabilities = {};  // as of SubmitOptions
};

// A generation in progress: collects tokens until a stop id, a stop text, max_tokens, a callback or
// stop() ends it. Borrows the tokenizer; null: the completion has ids and no text.
class Sequence {
 public:
  using Clock = std::chrono::steady_clock;

  // Keys and values are in sequence `cache_sequence` of the cache. `stop_ids` end it, beside those
  // of the options. `vocab_size`: ids from there on are never drawn. `start`: when the request's
  // prefill began, for its timings.
  Sequence(const DecodeRequest& request,
           const Tokenizer* tokenizer,
           int64_t vocab_size,
           std::set<TokenId> stop_ids,
           int64_t cache_sequence,
           Clock::time_point start);

  bool is_running() const { return running_; }
  int64_t cache_sequence() const { return cache_sequence_; }
  // The token that is read next, and its position. REQUIRES: a token was appended.
  TokenId last_token() const { return completion_.ids.back(); }
  int64_t last_position() const { return prompt_end_ + std::ssize(completion_.ids) - 1; }
  Sampler& sampler() { return sampler_; }
  // Alternatives of each token whose log-probabilities are asked for; none: not asked for.
  const std::optional<int64_t>& top_log_probabilities() const { return top_log_probabilities_; }

  // Adds the next token, which has an id and no text yet. What a callback throws fails this
  // sequence alone.
  void append(GeneratedToken token);
  void fail(std::exception_ptr error);
  // Ends it as it is. No effect if it has ended.
  void stop(Completion::Finish reason);

  Completion take_completion() { return std::move(completion_); }

 private:
  void take(GeneratedToken token);
  void emit(const GeneratedToken& token);
  void finish(Completion::Finish reason);  // emits the text that was held back
  void end(Completion::Finish reason);
  double milliseconds() const;  // since the start

  int64_t cache_sequence_;
  int64_t prompt_end_;  // position of the first generated token
  int64_t max_tokens_;
  bool running_ = true;
  std::set<TokenId> stop_ids_;
  Sampler sampler_;
  std::optional<TextStream> stream_;  // none: no tokenizer
  StopMatcher stop_;
  TextCallback on_text_;
  TokenCallback on_token_;
  std::optional<int64_t> top_log_probabilities_;
  Clock::time_point start_;
  Completion completion_;
};

}  // namespace precis
