// SPDX-License-Identifier: Apache-2.0
#include "engine/decode_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "engine/log_probabilities.h"
#include "io/translate_errors.h"
#include "ops/copy_to_device.h"
#include "precis/extend/forward_outputs.h"
#include "tokenizers/stop_ids.h"

namespace precis {
namespace {

// Runs work(); its error fails the sequences. Whether there was none.
template <typename Work>
bool run_for(std::span<BatchSequence* const> sequences, const Work& work) {
  try {
    translate_errors(work);
    return true;
  } catch (const Error&) {
    for (BatchSequence* sequence : sequences) {
      if (sequence->answer.is_running()) sequence->answer.fail(std::current_exception());
    }
    return false;
  }
}

// Drops the next `count` inputs, which were read.
void skip(int64_t count, BatchSequence& sequence) {
  const int64_t rest = sequence.num_unread() - count;
  sequence.embeddings = rest > 0 ? sequence.embeddings.narrow(0, count, rest) : at::Tensor();
  sequence.positions = rest > 0 ? sequence.positions.narrow(0, count, rest) : at::Tensor();
}

std::vector<BatchSequence*> sequences_of(std::span<const PromptChunk> chunks) {
  std::vector<BatchSequence*> sequences;
  for (const PromptChunk& chunk : chunks) sequences.push_back(chunk.sequence);
  return sequences;
}

}  // namespace

DecodeBatch::DecodeBatch(const DecodeStage& stage)
    : stage_(stage),
      vocab_size_(stage.decoder.config().vocab_size),
      pool_(
          std::make_shared<BlockPool>(stage.decoder.config().kv_shape(), stage.decoder.options())),
      cache_(pool_, 0),
      empty_(pool_, 1),
      beginnings_(stage.decoder, pool_) {
  if (stage.tokenizer == nullptr) return;
  vocab_size_ = std::min(vocab_size_, stage.tokenizer->vocab_size());
  stop_ids_ = stop_ids(*stage.tokenizer);
}

int64_t DecodeBatch::free_cache_sequence() {
  if (free_.empty()) {
    const int64_t before = cache_.num_sequences(), after = std::max<int64_t>(1, 2 * before);
    KvCache larger(pool_, after);
    for (int64_t i = 0; i < before; ++i) larger.copy_sequence(cache_, i, i);
    for (int64_t i = after - 1; i >= before; --i) free_.push_back(i);
    cache_ = std::move(larger);
  }
  const int64_t sequence = free_.back();
  free_.pop_back();
  return sequence;
}

BatchSequence& DecodeBatch::join(const DecodeRequest& request, Sequence::Clock::time_point start) {
  std::shared_ptr<const Beginning> beginning = beginnings_.of(request.prompt);
  const int64_t own = free_cache_sequence();
  if (beginning) cache_.copy_sequence(beginning->cache, 0, own);
  return sequences_.emplace_back(
      BatchSequence{Sequence(request, stage_.tokenizer, vocab_size_, stop_ids_, own, start),
                    request.prompt.embeddings,
                    request.prompt.positions,
                    std::move(beginning)});
}

void DecodeBatch::leave(BatchSequence& sequence) {
  std::erase(running_, &sequence);
  // Only after an error between read() and draw_first_tokens(), which then fails the others too.
  if (std::erase(first_, &sequence) > 0) first_hidden_.clear();
  const int64_t own = sequence.answer.cache_sequence();
  cache_.copy_sequence(empty_, 0, own);
  free_.push_back(own);
  sequences_.remove_if([&](const BatchSequence& other) { return &other == &sequence; });
}

void DecodeBatch::read(std::span<const PromptChunk> chunks) {
  const std::vector<BatchSequence*> sequences = sequences_of(chunks);
  at::Tensor hidden;
  if (!run_for(sequences, [&] { hidden = read_chunks(chunks); })) return;
  for (const PromptChunk& chunk : chunks) {
    skip(chunk.count, *chunk.sequence);
    if (chunk.sequence->num_unread() == 0) first_.push_back(chunk.sequence);
  }
  if (hidden.size(0) > 0) first_hidden_.push_back(hidden);
}

// The final hidden state of the last input of each prompt that ends here, [n, hidden].
at::Tensor DecodeBatch::read_chunks(std::span<const PromptChunk> chunks) {
  DecoderInput input{{}, {}, {0}, {}};
  std::vector<at::Tensor> embeddings, positions;
  std::vector<int64_t> outputs;
  for (const auto& [sequence, count] : chunks) {
    embeddings.push_back(sequence->embeddings.narrow(0, 0, count));
    positions.push_back(sequence->positions.narrow(0, 0, count));
    input.cu_seqlens.push_back(input.cu_seqlens.back() + count);
    input.cache_sequences.push_back(sequence->answer.cache_sequence());
    if (sequence->num_unread() == count) outputs.push_back(input.cu_seqlens.back() - 1);
  }
  input.embeddings = at::cat(embeddings, 0);
  input.positions = at::cat(positions, 0);
  input.output_indices = outputs.empty() ? at::empty({0}, input.positions.options())
                                         : ops::copy_to_device_async(at::tensor(outputs, at::kLong),
                                                                     input.positions.device());
  return forward_outputs(stage_.decoder, input, cache_);
}

void DecodeBatch::draw_first_tokens() {
  if (first_.empty()) return;
  const std::vector<BatchSequence*> sequences = std::exchange(first_, {});
  const std::vector<at::Tensor> hidden = std::exchange(first_hidden_, {});
  run_for(sequences, [&] { draw(sequences, at::cat(hidden, 0)); });
}

void DecodeBatch::step() {
  const std::vector<BatchSequence*> sequences = std::exchange(running_, {});
  run_for(sequences, [&] { draw(sequences, read_last_tokens(sequences)); });
}

// The final hidden state of each sequence's last token, [sequences, hidden].
at::Tensor DecodeBatch::read_last_tokens(std::span<BatchSequence* const> sequences) {
  std::vector<TokenId> ids;
  std::vector<int64_t> positions;
  DecoderInput input;
  for (const BatchSequence* sequence : sequences) {
    input.cu_seqlens.push_back(std::ssize(ids));
    input.cache_sequences.push_back(sequence->answer.cache_sequence());
    ids.push_back(sequence->answer.last_token());
    positions.push_back(sequence->answer.last_position());
  }
  input.cu_seqlens.push_back(std::ssize(ids));
  const Decoder& decoder = stage_.decoder;
  const c10::Device device = decoder.options().device();
  input.embeddings = decoder.embed(ops::copy_to_device_async(at::tensor(ids, at::kLong), device));
  input.positions = ops::copy_to_device_async(at::tensor(positions, at::kLong), device);
  return decoder.forward(input, cache_);
}

// Appends the next token to each sequence and keeps those that go on running.
// hidden: [sequences, hidden].
void DecodeBatch::draw(std::span<BatchSequence* const> sequences, const at::Tensor& hidden) {
  std::vector<Sampler*> samplers;
  for (BatchSequence* sequence : sequences) samplers.push_back(&sequence->answer.sampler());
  const at::Tensor logits = stage_.decoder.logits(hidden);
  const std::vector<Draw> draws = sample(samplers, logits);
  for (size_t i = 0; i < draws.size(); ++i) {
    Sequence& answer = sequences[i]->answer;
    if (draws[i].error) {
      answer.fail(draws[i].error);
      continue;
    }
    GeneratedToken token;
    token.id = draws[i].id;
    if (const auto count = answer.top_log_probabilities())
      add_log_probabilities(
          logits[static_cast<int64_t>(i)].narrow(0, 0, vocab_size_), *count, token);
    answer.append(std::move(token));
    if (answer.is_running()) running_.push_back(sequences[i]);
  }
}

}  // namespace precis
