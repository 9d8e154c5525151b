// SPDX-License-Identifier: Apache-2.0
#include "train/language_model_loss.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "memory/memory_contents.h"
#include "ops/vocabulary_loss.h"
#include "prompt/packed_pass.h"
#include "prompt/splice.h"
#include "prompt/template_items.h"

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
                                 const MemoryTemplate& around,
                                 const Decoder& decoder) {
  std::vector<PromptPart> parts;
  if (example.chat) append(parts, *example.chat);
  append(parts, template_items(around.before, decoder));
  parts.emplace_back().memory =
      Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(memory), {}}));
  append(parts, template_items(around.after, decoder));
  append(parts, example.prompt);
  append(parts, template_items(around.end, decoder));
  append(parts, std::span(example.targets).first(example.targets.size() - 1));
  return parts;
}

// The targets of an example that a row predicts: one each, from the end.
std::span<const TokenId> predicted_targets(const TrainingExample& example, int64_t num_rows) {
  const int64_t count = std::min(std::ssize(example.targets), num_rows);
  return std::span(example.targets).last(count);
}

// `prefix`: what is read already of the example's chat; null: nothing.
SplicedPrompt splice_example(const TrainingExample& example,
                             MemoryTensors memory,
                             const Compressor& compressor,
                             const Decoder& decoder,
                             std::shared_ptr<const SharedPrefix> prefix) {
  PRECIS_CHECK(!example.targets.empty(), kInvalidArgument, "training: an example has no targets");
  const MemoryTemplate around =
      example.chat ? MemoryTemplate{} : compressor.memory_template(example.use);
  return splice(
      parts_of(example, std::move(memory), around, decoder), decoder, std::move(prefix));
}

// What a chat begins with, read once for examples of one chat that follow each other: cached
// memories stand behind what is read already.
class ChatPrefixes {
 public:
  std::shared_ptr<const SharedPrefix> operator()(const TrainingExample& example,
                                                 const MemoryTensors& memory) {
    if (!example.chat || example.chat->empty() || !std::holds_alternative<CachedTokens>(memory))
      return nullptr;
    if (!prefix_ || prefix_->tokens() != *example.chat)
      prefix_ = std::make_shared<SharedPrefix>(*example.chat);
    return prefix_;
  }

 private:
  std::shared_ptr<const SharedPrefix> prefix_;
};

// What the teacher reads: all text, none of it compressed.
SplicedPrompt splice_in_full(const TrainingExample& example, const Decoder& decoder) {
  std::vector<PromptPart> parts;
  if (example.chat) append(parts, *example.chat);
  append(parts, example.before_text);
  append(parts, example.segment.tokens);
  append(parts, example.prompt);
  append(parts, std::span(example.targets).first(example.targets.size() - 1));
  return splice(parts, decoder);
}

// Fills in the teacher's part. counts: how many rows of each example predict.
void add_teacher(const Decoder& decoder,
                 std::span<const TrainingExample> examples,
                 const std::vector<int64_t>& counts,
                 PredictedBatch& batch) {
  const auto distils = [](const TrainingExample& example) { return example.distils; };
  const int64_t num_taught = std::ranges::count_if(examples, distils);
  if (num_taught == 0) return;
  const c10::NoGradGuard no_grad;
  KvCache cache(decoder.config().kv_shape(), decoder.options(), num_taught);
  PackedPass pass(decoder, cache);
  std::vector<at::Tensor> taught;
  int64_t first = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (examples[i].distils) {
      pass.add(splice_in_full(examples[i], decoder), std::ssize(taught), counts[i]);
      taught.push_back(at::arange(first, first + counts[i], batch.targets.options()));
    }
    first += counts[i];
  }
  batch.taught_rows = at::cat(taught, 0);
  batch.teacher = pass.read();
}

// Rows that a batch learns from its targets: all that have no teacher.
at::Tensor labelled_rows(const PredictedBatch& batch) {
  at::Tensor labelled = at::ones({batch.hidden.size(0)}, batch.targets.options().dtype(at::kBool));
  if (batch.taught_rows.defined()) labelled.index_fill_(0, batch.taught_rows, false);
  return labelled.nonzero().squeeze(1);
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
  PackedPass pass(decoder, cache);
  ChatPrefixes chat_prefix;
  std::vector<TokenId> targets;
  std::vector<int64_t> counts;
  for (int64_t i = 0; i < std::ssize(examples); ++i) {
    std::shared_ptr<const SharedPrefix> prefix = chat_prefix(examples[i], memories[i]);
    const SplicedPrompt prompt =
        splice_example(examples[i], std::move(memories[i]), compressor, decoder, std::move(prefix));
    const auto wanted = predicted_targets(examples[i], prompt.embeddings.size(0));
    pass.add(prompt, i, std::ssize(wanted));
    targets.insert(targets.end(), wanted.begin(), wanted.end());
    counts.push_back(std::ssize(wanted));
  }
  PredictedBatch batch;
  batch.hidden = pass.read();
  batch.targets = at::tensor(targets, at::kLong).to(batch.hidden.device());
  add_teacher(decoder, examples, counts, batch);
  return batch;
}

double cross_entropy(const Decoder& decoder,
                     const PredictedBatch& batch,
                     bool backward,
                     double scale) {
  const at::Tensor hidden = batch.hidden.detach().requires_grad_(backward);
  const auto count = static_cast<double>(hidden.size(0));
  at::Tensor sum = at::zeros({}, hidden.options().dtype(at::kDouble));
  // Logits of all rows at once would be the largest tensor of a training step by far.
  const auto add = [&](const at::Tensor& rows, const auto& loss_of) {
    for (int64_t first = 0; first < rows.size(0); first += kRowsPerChunk) {
      const at::Tensor chunk = rows.narrow(0, first, std::min(kRowsPerChunk, rows.size(0) - first));
      const at::Tensor logits = decoder.logits(hidden.index_select(0, chunk));
      const at::Tensor gradient = backward ? at::empty_like(logits) : at::Tensor();
      sum += loss_of(logits.detach(), chunk, first, gradient);
      if (backward) logits.backward(gradient);
    }
  };
  add(labelled_rows(batch),
      [&](const at::Tensor& logits, const at::Tensor& chunk, int64_t, const at::Tensor& gradient) {
        return ops::cross_entropy_sum(
            logits, batch.targets.index_select(0, chunk), scale / count, gradient);
      });
  if (batch.taught_rows.defined()) {
    add(batch.taught_rows,
        [&](const at::Tensor& logits,
            const at::Tensor&,
            int64_t first,
            const at::Tensor& gradient) {
          const c10::NoGradGuard no_grad;
          const at::Tensor teacher = decoder.logits(batch.teacher.narrow(0, first, logits.size(0)));
          return ops::divergence_sum(logits, teacher, scale / count, gradient);
        });
  }
  if (backward) batch.hidden.backward(hidden.grad());
  return sum.item<double>() / count;
}

}  // namespace precis
