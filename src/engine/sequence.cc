// SPDX-License-Identifier: Apache-2.0
#include "engine/sequence.h"

#include <utility>

#include "io/translate_errors.h"

namespace precis {

Sequence::Sequence(const DecodeRequest& request,
                   const Tokenizer* tokenizer,
                   int64_t vocab_size,
                   std::set<TokenId> stop_ids,
                   int64_t cache_sequence,
                   Clock::time_point start)
    : cache_sequence_(cache_sequence),
      prompt_end_(request.prompt.start + request.prompt.embeddings.size(0)),
      max_tokens_(request.options.max_tokens),
      stop_ids_(std::move(stop_ids)),
      sampler_(request.options, vocab_size, request.prompt.tokens),
      stream_(tokenizer ? std::optional<TextStream>(*tokenizer) : std::nullopt),
      stop_(request.options.stop),
      on_text_(request.on_text),
      on_token_(request.on_token),
      top_log_probabilities_(request.top_log_probabilities),
      start_(start) {
  stop_ids_.insert(request.options.stop_ids.begin(), request.options.stop_ids.end());
}

void Sequence::append(GeneratedToken token) {
  try {
    translate_errors([&] { take(std::move(token)); });
  } catch (const Error&) {
    fail(std::current_exception());
  }
}

void Sequence::take(GeneratedToken token) {
  const TokenId id = *token.id;
  if (completion_.ids.empty()) completion_.timings.prefill_ms = milliseconds();
  if (stop_ids_.contains(id)) return finish(Completion::Finish::kStop);
  completion_.ids.push_back(id);
  if (stream_) token.text = stop_.push(stream_->push(id));
  emit(token);
  if (stop_.stopped()) return finish(Completion::Finish::kStop);
  if (running_ && std::ssize(completion_.ids) >= max_tokens_) finish(Completion::Finish::kLength);
}

void Sequence::fail(std::exception_ptr error) {
  running_ = false;
  completion_.finish = Completion::Finish::kError;
  completion_.error = std::move(error);
}

void Sequence::stop(Completion::Finish reason) {
  if (running_) end(reason);
}

void Sequence::emit(const GeneratedToken& token) {
  completion_.text += token.text;
  const bool reads_on = token.text.empty() || !on_text_ || on_text_(token.text);
  if (!reads_on || (on_token_ && !on_token_(token))) end(Completion::Finish::kCancelled);
}

void Sequence::finish(Completion::Finish reason) {
  end(reason);
  if (stop_.stopped() || !stream_) return;
  GeneratedToken rest;
  rest.text = stop_.push(stream_->finish());
  if (!stop_.stopped()) rest.text += stop_.finish();
  if (!rest.text.empty()) emit(rest);
}

void Sequence::end(Completion::Finish reason) {
  running_ = false;
  completion_.finish = reason;
  const bool has_first = completion_.timings.prefill_ms > 0;
  if (has_first) completion_.timings.decode_ms = milliseconds() - completion_.timings.prefill_ms;
}

double Sequence::milliseconds() const {
  return std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
}

}  // namespace precis
