// SPDX-License-Identifier: Apache-2.0
#include "train/language_model_loss.h"

#include <ATen/ATen.h>

#include <memory>

#include "base/check.h"
#include "io/memory_contents.h"
#include "prompt/frame_parts.h"
#include "prompt/splice.h"

namespace precis {
namespace {

constexpr int64_t kRowsPerChunk = 256;  // of [rows, vocab] logits

void append(std::vector<PromptPart>& parts, std::vector<PromptPart> more) {
  for (PromptPart& part : more) parts.push_back(std::move(part));
}

void append(std::vector<PromptPart>& parts, std::span<const TokenId> ids) {
  if (!ids.empty()) parts.emplace_back().tokens.assign(ids.begin(), ids.end());
}

// All that is read for an example. The last target is predicted, never read.
std::vector<PromptPart> parts_of(const TrainingExample& example,
                                 MemoryTensors memory,
                                 const MemoryFrame& frame,
                                 const Decoder& decoder) {
  std::vector<PromptPart> parts = frame_parts(frame.before, decoder);
  parts.emplace_back().memory =
      Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(memory), {}}));
  append(parts, frame_parts(frame.after, decoder));
  append(parts, example.prompt);
  append(parts, frame_parts(frame.end, decoder));
  append(parts, std::span(example.targets).first(example.targets.size() - 1));
  return parts;
}

// The targets of an example that a row predicts: one each, from the end.
std::span<const TokenId> predicted_targets(const TrainingExample& example, int64_t num_rows) {
  const int64_t count = std::min(std::ssize(example.targets), num_rows);
  return std::span(example.targets).last(count);
}

SplicedPrompt splice_example(const TrainingExample& example,
                             MemoryTensors memory,
                             const Compressor& compressor,
                             const Decoder& decoder) {
  PRECIS_CHECK(!example.targets.empty(), kInvalidArgument, "training: an example has no targets");
  const MemoryFrame frame = compressor.frame(example.use);
  return splice(parts_of(example, std::move(memory), frame, decoder), decoder);
}

}  // namespace

PredictedBatch predict(const Decoder& decoder,
                       const Compressor& compressor,
                       std::span<const TrainingExample> examples,
                       const CompressOptions& options) {
  std::vector<Segment> segments;
  for (const TrainingExample& example : examples) segments.push_back(example.segment);
  std::vector<MemoryTensors> memories = compressor.compress(segments, options);
  KvCache cache(decoder.config().kv_shape(), decoder.options(), std::ssize(examples));
  DecoderInput input;
  std::vector<at::Tensor> rows, positions, predicting;
  std::vector<TokenId> targets;
  input.sequence_starts.push_back(0);
  for (int64_t i = 0; i < std::ssize(examples); ++i) {
    const SplicedPrompt prompt =
        splice_example(examples[i], std::move(memories[i]), compressor, decoder);
    preload(prompt, decoder, cache, i);
    rows.push_back(prompt.embeddings);
    positions.push_back(prompt.positions);
    const int64_t end = input.sequence_starts.back() + rows.back().size(0);
    const auto wanted = predicted_targets(examples[i], rows.back().size(0));
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
