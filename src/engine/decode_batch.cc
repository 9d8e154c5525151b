// SPDX-License-Identifier: Apache-2.0
#include "engine/decode_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "ops/copy_to_device.h"
#include "prompt/packed_pass.h"
#include "tokenizers/stop_ids.h"

namespace precis {
namespace {

// Tokens of prompts that are read in one pass: bounds the activations of a batch.
constexpr int64_t kTokensPerPass = 4096;

// The number of prompts, one or more, that the next pass reads.
int64_t prompts_in_pass(std::span<const DecodeRequest> requests) {
  int64_t count = 0, tokens = 0;
  do {
    tokens += requests[count++].prompt.embeddings.size(0);
  } while (count < std::ssize(requests) &&
           tokens + requests[count].prompt.embeddings.size(0) <= kTokensPerPass);
  return count;
}

}  // namespace

DecodeBatch::DecodeBatch(const DecodeStage& stage, int64_t num_sequences)
    : stage_(stage),
      vocab_size_(stage.decoder.config().vocab_size),
      cache_(stage.decoder.config().kv_shape(), stage.decoder.options(), num_sequences) {
  if (stage.tokenizer == nullptr) return;
  vocab_size_ = std::min(vocab_size_, stage.tokenizer->vocab_size());
  stop_ids_ = stop_ids(*stage.tokenizer);
}

void DecodeBatch::add(std::span<const DecodeRequest> requests) {
  if (requests.empty()) return;
  const auto start = Sequence::Clock::now();
  const int64_t first = std::ssize(sequences_);
  std::vector<Sequence*> joined;
  for (const DecodeRequest& request : requests)
    joined.push_back(&sequences_.emplace_back(
        request, stage_.tokenizer, vocab_size_, stop_ids_, std::ssize(sequences_), start));
  draw(joined, read_prompts(requests, first));
}

void DecodeBatch::step() {
  const std::vector<Sequence*> sequences = std::exchange(running_, {});
  draw(sequences, read_last_tokens(sequences));
}

std::vector<Completion> DecodeBatch::take_completions() {
  std::vector<Completion> completions;
  for (Sequence& sequence : sequences_) completions.push_back(sequence.take_completion());
  return completions;
}

// The final hidden state of each prompt's last token, [requests, hidden].
at::Tensor DecodeBatch::read_prompts(std::span<const DecodeRequest> requests,
                                     int64_t first_sequence) {
  std::vector<at::Tensor> hidden;
  while (!requests.empty()) {
    PackedPass pass(stage_.decoder, cache_);
    const int64_t count = prompts_in_pass(requests);
    for (const DecodeRequest& request : requests.first(count))
      pass.add(request.prompt, first_sequence++, /*num_outputs=*/1);
    hidden.push_back(pass.read());
    requests = requests.subspan(count);
  }
  return at::cat(hidden, 0);
}

// The final hidden state of each sequence's last token, [sequences, hidden].
at::Tensor DecodeBatch::read_last_tokens(std::span<Sequence* const> sequences) {
  std::vector<TokenId> ids;
  std::vector<int64_t> positions;
  DecoderInput input;
  for (const Sequence* sequence : sequences) {
    input.cu_seqlens.push_back(std::ssize(ids));
    input.cache_sequences.push_back(sequence->cache_sequence());
    ids.push_back(sequence->last_token());
    positions.push_back(sequence->last_position());
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
void DecodeBatch::draw(std::span<Sequence* const> sequences, const at::Tensor& hidden) {
  std::vector<Sampler*> samplers;
  for (Sequence* sequence : sequences) samplers.push_back(&sequence->sampler());
  const std::vector<Draw> draws = sample(samplers, stage_.decoder.logits(hidden));
  for (size_t i = 0; i < draws.size(); ++i) {
    if (draws[i].error)
      sequences[i]->fail(draws[i].error);
    else
      sequences[i]->append(draws[i].id);
    if (sequences[i]->is_running()) running_.push_back(sequences[i]);
  }
}

}  // namespace precis
