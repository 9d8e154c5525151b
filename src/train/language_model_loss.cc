// SPDX-License-Identifier: Apache-2.0
#include "train/language_model_loss.h"

#include <ATen/ATen.h>

#include <memory>

#include "io/memory_contents.h"
#include "prompt/splice.h"

namespace precis {
namespace {

constexpr int64_t kRowsPerChunk = 256;  // of [rows, vocab] logits

std::vector<SplicedPrompt> splice_all(const Decoder& decoder,
                                      std::vector<MemoryTensors> memories,
                                      std::span<const TrainingExample> examples) {
  std::vector<SplicedPrompt> prompts;
  for (size_t i = 0; i < examples.size(); ++i) {
    PromptPart memory, text;
    memory.memory =
        Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(memories[i]), {}}));
    // The last target is predicted, never read.
    text.tokens.assign(examples[i].targets.begin(), examples[i].targets.end() - 1);
    std::vector<PromptPart> parts{std::move(memory)};
    if (!text.tokens.empty()) parts.push_back(std::move(text));
    prompts.push_back(splice(parts, decoder));
  }
  return prompts;
}

}  // namespace

PredictedBatch predict(const Decoder& decoder,
                       const Compressor& compressor,
                       std::span<const TrainingExample> examples,
                       const CompressOptions& options) {
  std::vector<Segment> segments;
  for (const TrainingExample& example : examples) segments.push_back(example.segment);
  const auto prompts = splice_all(decoder, compressor.compress(segments, options), examples);
  KvCache cache(decoder.config().kv_shape(), decoder.options(), std::ssize(examples));
  DecoderInput input;
  std::vector<at::Tensor> rows, positions, predicting;
  std::vector<TokenId> targets;
  input.sequence_starts.push_back(0);
  for (int64_t i = 0; i < std::ssize(prompts); ++i) {
    preload(prompts[i], decoder, cache, i);
    rows.push_back(prompts[i].embeddings);
    positions.push_back(prompts[i].positions);
    const int64_t end = input.sequence_starts.back() + rows.back().size(0);
    const auto& wanted = examples[i].targets;
    predicting.push_back(at::arange(end - std::ssize(wanted), end, positions.back().options()));
    targets.insert(targets.end(), wanted.begin(), wanted.end());
    input.sequence_starts.push_back(end);
    input.cache_sequences.push_back(i);
  }
  input.embeddings = at::cat(rows, 0);
  input.positions = at::cat(positions, 0);
  const at::Tensor hidden = decoder.forward(input, cache);
  return {hidden.index_select(0, at::cat(predicting, 0)),
          at::tensor(targets, at::kLong).to(hidden.device())};
}

double cross_entropy(const Decoder& decoder,
                     const PredictedBatch& batch,
                     bool backward,
                     double scale) {
  const at::Tensor hidden = batch.hidden.detach().requires_grad_(backward);
  const int64_t count = hidden.size(0);
  double sum = 0;
  for (int64_t first = 0; first < count; first += kRowsPerChunk) {
    const int64_t rows = std::min(kRowsPerChunk, count - first);
    const at::Tensor logits = decoder.logits(hidden.narrow(0, first, rows));
    const at::Tensor wide = logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat);
    const at::Tensor loss =
        at::cross_entropy_loss(wide, batch.targets.narrow(0, first, rows), {}, at::Reduction::Sum);
    sum += loss.item<double>();
    if (backward) (loss * (scale / static_cast<double>(count))).backward();
  }
  if (backward) batch.hidden.backward(hidden.grad());
  return sum / static_cast<double>(count);
}

}  // namespace precis
