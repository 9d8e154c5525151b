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
      start_(start) {
  stop_ids_.insert(request.options.stop_ids.begin(), request.options.stop_ids.end());
}

void Sequence::append(TokenId id) {
  try {
    translate_errors([&] { take(id); });
  } catch (const Error&) {
    fail(std::current_exception());
  }
}

void Sequence::take(TokenId id) {
  if (completion_.ids.empty()) completion_.timings.prefill_ms = milliseconds();
  if (stop_ids_.contains(id)) return finish(Completion::Finish::kStop);
  completion_.ids.push_back(id);
  if (stream_) emit(stop_.push(stream_->push(id)));
  if (stop_.stopped()) return finish(Completion::Finish::kStop);
  if (running_ && std::ssize(completion_.ids) >= max_tokens_) finish(Completion::Finish::kLength);
}

void Sequence::fail(std::exception_ptr error) {
  running_ = false;
  completion_.finish = Completion::Finish::kError;
  completion_.error = std::move(error);
}

void Sequence::emit(const std::string& text) {
  if (text.empty()) return;
  completion_.text += text;
  if (on_text_ && !on_text_(text)) end(Completion::Finish::kCancelled);
}

void Sequence::finish(Completion::Finish reason) {
  end(reason);
  if (stop_.stopped() || !stream_) return;
  std::string rest = stop_.push(stream_->finish());
  if (!stop_.stopped()) rest += stop_.finish();
  emit(rest);
}

void Sequence::end(Completion::Finish reason) {
  running_ = false;
  completion_.finish = reason;
  completion_.timings.decode_ms = milliseconds() - completion_.timings.prefill_ms;
}

double Sequence::milliseconds() const {
  return std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
}

}  // namespace precis
