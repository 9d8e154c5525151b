// SPDX-License-Identifier: Apache-2.0
#include "train/language_model_loss.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "memory/memory_contents.h"
#include "ops/vocabulary_loss.h"
#include "prompt/apply_template.h"
#include "prompt/packed_pass.h"
#include "prompt/splice.h"
#include "prompt/tokenize.h"

namespace precis {
namespace {

constexpr int64_t kTokensPerChunk = 256;  // of [tokens, vocab] logits

// Targets that are read: the last one is only predicted.
std::vector<TokenId> read_targets(const TrainingExample& example) {
  return {example.targets.begin(), example.targets.end() - 1};
}

// Everything that is read for an example. `around` is empty in a chat.
Prompt prompt_of(const TrainingExample& example,
                 MemoryTensors tensors,
                 const MemoryTemplate& around,
                 const Decoder& decoder) {
  const Prompt::Piece memory =
      Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(tensors), {}}));
  const Prompt::Piece question = Prompt::Ids{example.prompt};
  Prompt prompt;
  if (example.chat) prompt.ids(*example.chat);
  apply_template(around, {&memory, 1}, {&question, 1}, decoder, prompt);
  return prompt.ids(read_targets(example));
}

// The targets that the model predicts: the last ones, as many as there are inputs to predict from.
std::span<const TokenId> predicted_targets(const TrainingExample& example, int64_t num_inputs) {
  const int64_t count = std::min(std::ssize(example.targets), num_inputs);
  return std::span(example.targets).last(count);
}

// prefix: the chat's first ids, if their keys and values are shared; null: they are not.
SplicedPrompt splice_example(const TrainingExample& example,
                             MemoryTensors memory,
                             const Compressor& compressor,
                             const Decoder& decoder,
                             std::shared_ptr<const SharedPrefix> prefix) {
  PRECIS_CHECK(!example.targets.empty(), kInvalidArgument, "training: an example has no targets");
  const MemoryTemplate around =
      example.chat ? MemoryTemplate{} : compressor.memory_template(example.use);
  const Prompt prompt = prompt_of(example, std::move(memory), around, decoder);
  return splice(tokenize(prompt, {}), decoder, std::move(prefix));
}

// The first ids of a chat as a prefix of cached memories, computed once for consecutive examples of
// the same chat.
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

// The teacher's prompt: the uncompressed text.
SplicedPrompt splice_in_full(const TrainingExample& example, const Decoder& decoder) {
  Prompt prompt;
  if (example.chat) prompt.ids(*example.chat);
  prompt.ids(example.before_text).ids(example.segment.tokens).ids(example.prompt);
  return splice(tokenize(prompt.ids(read_targets(example)), {}), decoder);
}

// Adds the teacher's hidden states. counts: predicted targets of each example.
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
  batch.taught_indices = at::cat(taught, 0);
  batch.teacher = pass.read();
}

// Indices of the hidden states that learn from targets: all without a teacher. [m] int64
at::Tensor labelled_indices(const PredictedBatch& batch) {
  at::Tensor labelled = at::ones({batch.hidden.size(0)}, batch.targets.options().dtype(at::kBool));
  if (batch.taught_indices.defined()) labelled.index_fill_(0, batch.taught_indices, false);
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
  const bool recompute = std::ranges::any_of(segments, &Segment::recompute_activations);
  PackedPass pass(decoder, cache, recompute);
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
  // Logits of a whole batch would be the largest tensor of a training step by far.
  const auto add = [&](const at::Tensor& indices, const auto& loss_of) {
    for (int64_t first = 0; first < indices.size(0); first += kTokensPerChunk) {
      const at::Tensor chunk =
          indices.narrow(0, first, std::min(kTokensPerChunk, indices.size(0) - first));
      const at::Tensor logits = decoder.logits(hidden.index_select(0, chunk));
      const at::Tensor gradient = backward ? at::empty_like(logits) : at::Tensor();
      sum += loss_of(logits.detach(), chunk, first, gradient);
      if (backward) logits.backward(gradient);
    }
  };
  add(labelled_indices(batch),
      [&](const at::Tensor& logits, const at::Tensor& chunk, int64_t, const at::Tensor& gradient) {
        return ops::cross_entropy_sum(
            logits, batch.targets.index_select(0, chunk), scale / count, gradient);
      });
  if (batch.taught_indices.defined()) {
    add(batch.taught_indices,
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
