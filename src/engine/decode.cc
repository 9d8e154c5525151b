// SPDX-License-Identifier: Apache-2.0
#include "engine/decode.h"

#include <ATen/ATen.h>

#include <chrono>
#include <optional>
#include <set>

#include "base/check.h"
#include "engine/sampler.h"
#include "engine/stop_matcher.h"
#include "ops/copy_to_device.h"
#include "precis/extend/forward_outputs.h"
#include "prompt/packed_pass.h"
#include "tokenizers/stop_ids.h"
#include "tokenizers/text_stream.h"

namespace precis {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Ids that stand for something; models may have room for more.
int64_t num_words(const DecodeStage& stage) {
  return stage.tokenizer ? stage.tokenizer->vocab_size() : stage.decoder.config().vocab_size;
}

// One answer in the making.
class Answer {
 public:
  Answer(const DecodeStage& stage,
         const SplicedPrompt& prompt,
         const GenerationOptions& options,
         int64_t sequence)
      : sequence_(sequence),
        position_(prompt.start + prompt.embeddings.size(0)),
        max_tokens_(options.max_tokens),
        sampler_(options, num_words(stage), prompt.tokens),
        stream_(stage.tokenizer ? std::optional<TextStream>(*stage.tokenizer) : std::nullopt),
        stop_(options.stop) {}

  bool running() const { return running_; }
  int64_t sequence() const { return sequence_; }
  int64_t position() const { return position_; }
  TokenId last() const { return completion_.ids.back(); }

  Sampler& sampler() { return sampler_; }

  // Takes the next id.
  void take(TokenId id, const std::set<TokenId>& stops, const TextCallback& on_text) {
    if (!completion_.ids.empty()) ++position_;
    if (stops.contains(id)) return finish(Completion::Finish::kStop, on_text);
    completion_.ids.push_back(id);
    if (stream_) emit(stop_.push(stream_->push(id)), on_text);
    if (stop_.stopped()) return finish(Completion::Finish::kStop, on_text);
    if (running_ && std::ssize(completion_.ids) >= max_tokens_)
      finish(Completion::Finish::kLength, on_text);
  }

  // The other answers of the batch go on.
  void fail(std::exception_ptr error) {
    running_ = false;
    completion_.finish = Completion::Finish::kError;
    completion_.error = std::move(error);
  }

  Completion completion() { return std::move(completion_); }

 private:
  void emit(const std::string& text, const TextCallback& on_text) {
    if (text.empty()) return;
    completion_.text += text;
    if (!on_text || on_text(text)) return;
    running_ = false;
    completion_.finish = Completion::Finish::kCancelled;
  }

  void finish(Completion::Finish reason, const TextCallback& on_text) {
    running_ = false;
    completion_.finish = reason;
    if (stop_.stopped() || !stream_) return;
    std::string rest = stop_.push(stream_->finish());
    if (!stop_.stopped()) rest += stop_.finish();
    emit(rest, on_text);
  }

  int64_t sequence_;
  int64_t position_;  // of the next row to be read
  int64_t max_tokens_;
  bool running_ = true;
  Sampler sampler_;
  std::optional<TextStream> stream_;  // none: no tokenizer
  StopMatcher stop_;
  Completion completion_;
};

// Rows of prompts that are read in one pass: bounds the activations of a batch.
constexpr int64_t kRowsPerPass = 4096;

// Reads prompts first .. last - 1 and returns the final hidden state of each one's last row, [last
// - first, hidden].
at::Tensor prefill_pass(const Decoder& decoder,
                        std::span<const SplicedPrompt> prompts,
                        int64_t first,
                        int64_t last,
                        KvCache& cache) {
  PackedPass pass(decoder, cache);
  for (int64_t i = first; i < last; ++i) pass.add(prompts[i], i, /*num_outputs=*/1);
  return pass.read();
}

at::Tensor prefill(const Decoder& decoder, std::span<const SplicedPrompt> prompts, KvCache& cache) {
  std::vector<at::Tensor> hidden;
  for (int64_t first = 0; first < std::ssize(prompts);) {
    int64_t last = first, rows = 0;
    do {
      rows += prompts[last++].embeddings.size(0);
    } while (last < std::ssize(prompts) && rows + prompts[last].embeddings.size(0) <= kRowsPerPass);
    hidden.push_back(prefill_pass(decoder, prompts, first, last, cache));
    first = last;
  }
  return at::cat(hidden, 0);
}

// One more row for every answer that goes on; their final hidden states, [answers, hidden].
at::Tensor step(const Decoder& decoder, std::span<Answer* const> answers, KvCache& cache) {
  std::vector<TokenId> ids;
  std::vector<int64_t> positions;
  DecoderInput input;
  for (const Answer* answer : answers) {
    input.cu_seqlens.push_back(std::ssize(ids));
    input.cache_sequences.push_back(answer->sequence());
    ids.push_back(answer->last());
    positions.push_back(answer->position());
  }
  input.cu_seqlens.push_back(std::ssize(ids));
  const c10::Device device = decoder.options().device();
  input.embeddings = decoder.embed(ops::copy_to_device_async(at::tensor(ids, at::kLong), device));
  input.positions = ops::copy_to_device_async(at::tensor(positions, at::kLong), device);
  return decoder.forward(input, cache);
}

// The next id of every answer that goes on, from logits [answers, vocab].
void draw(std::span<Answer* const> answers,
          const at::Tensor& logits,
          const std::set<TokenId>& stops,
          const TextCallback& on_text) {
  std::vector<Sampler*> samplers;
  for (Answer* answer : answers) samplers.push_back(&answer->sampler());
  std::vector<std::optional<TokenId>> ids;
  try {
    ids = sample(samplers, logits);
  } catch (const Error&) {
    for (Answer* answer : answers) answer->fail(std::current_exception());
    return;
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i])
      answers[i]->take(*ids[i], stops, on_text);
    else
      answers[i]->fail(not_finite());
  }
}

std::vector<Answer*> running(std::vector<Answer>& answers) {
  std::vector<Answer*> result;
  for (Answer& answer : answers) {
    if (answer.running()) result.push_back(&answer);
  }
  return result;
}

at::Tensor log_likelihoods(const Decoder& decoder,
                           const at::Tensor& hidden,
                           const at::Tensor& targets) {
  constexpr int64_t kRowsPerChunk = 64;  // [rows, vocab] in float32 is the largest tensor here
  std::vector<at::Tensor> chunks;
  for (int64_t first = 0; first < hidden.size(0); first += kRowsPerChunk) {
    const int64_t count = std::min(kRowsPerChunk, hidden.size(0) - first);
    const at::Tensor logits = decoder.logits(hidden.narrow(0, first, count)).to(at::kFloat);
    const at::Tensor chosen =
        logits.gather(1, targets.narrow(0, first, count).unsqueeze(1)).squeeze(1);
    chunks.push_back(chosen - logits.logsumexp(1));
  }
  return at::cat(chunks, 0);
}

}  // namespace

std::vector<Completion> decode(const DecodeStage& stage,
                               std::span<const SplicedPrompt> prompts,
                               const GenerationOptions& options,
                               const TextCallback& on_text) {
  const auto start = Clock::now();
  PRECIS_CHECK(stage.tokenizer != nullptr || options.stop.empty(),
               kInvalidArgument,
               "generate: the model has no tokenizer, and thus no text to find a stop text in");
  std::set<TokenId> stops = stage.tokenizer ? stop_ids(*stage.tokenizer) : std::set<TokenId>{};
  stops.insert(options.stop_ids.begin(), options.stop_ids.end());
  KvCache cache(stage.decoder.config().kv_shape(), stage.decoder.options(), std::ssize(prompts));
  std::vector<Answer> answers;
  for (int64_t i = 0; i < std::ssize(prompts); ++i)
    answers.emplace_back(stage, prompts[i], options, i);
  at::Tensor hidden = prefill(stage.decoder, prompts, cache);
  std::vector<Answer*> active = running(answers);
  double prefill_ms = 0;
  for (bool first = true; !active.empty(); first = false) {
    draw(active, stage.decoder.logits(hidden), stops, on_text);
    if (first) prefill_ms = milliseconds_since(start);
    active = running(answers);
    if (!active.empty()) hidden = step(stage.decoder, active, cache);
  }
  std::vector<Completion> completions;
  for (Answer& answer : answers) {
    completions.push_back(answer.completion());
    completions.back().timings.prefill_ms = prefill_ms;
    completions.back().timings.decode_ms = milliseconds_since(start) - prefill_ms;
  }
  return completions;
}

std::vector<double> score(const Decoder& decoder,
                          const SplicedPrompt* prompt,
                          std::span<const TokenId> ids) {
  const at::Tensor targets = at::tensor(at::ArrayRef<TokenId>(ids.data(), ids.size()), at::kLong)
                                 .to(decoder.options().device());
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  if (prompt != nullptr) preload(*prompt, decoder, cache, 0);
  at::Tensor rows = decoder.embed(targets.slice(0, 0, -1));
  const int64_t scored = std::ssize(ids) - (prompt == nullptr ? 1 : 0);
  int64_t start = 0;
  if (prompt != nullptr) {
    rows = at::cat({prompt->embeddings, rows}, 0);
    start = prompt->start;
  }
  const at::Tensor positions = at::arange(start, start + rows.size(0), targets.options());
  DecoderInput input{rows, positions, {0, rows.size(0)}, {0}};
  input.output_indices = at::arange(rows.size(0) - scored, rows.size(0), targets.options());
  const at::Tensor hidden = forward_outputs(decoder, input, cache);
  const at::Tensor likelihoods =
      log_likelihoods(decoder, hidden, targets.slice(0, targets.size(0) - scored));
  PRECIS_CHECK(
      likelihoods.isfinite().all().item<bool>(),
      kBadWeights,
      "score: the model's logits are not finite; its weights or a memory in the prompt are "
      "damaged");
  const at::Tensor nll = likelihoods.neg().to(at::kDouble).cpu().contiguous();
  return {nll.const_data_ptr<double>(), nll.const_data_ptr<double>() + nll.numel()};
}

}  // namespace precis
