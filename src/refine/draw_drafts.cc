// SPDX-License-Identifier: Apache-2.0
#include "refine/draw_drafts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <random>

#include "base/check.h"
#include "ops/copy_to_device.h"
#include "ops/sample.h"
#include "precis/extend/forward_outputs.h"

namespace precis {
namespace {

class DraftBatch {
 public:
  DraftBatch(std::span<Draft> drafts, const DrawOptions& options, const Decoder& decoder)
      : drafts_(drafts),
        options_(options),
        decoder_(decoder),
        cache_(decoder.config().kv_shape(), decoder.options(), std::ssize(drafts)) {
    const int64_t own = options.prompts.vocab_size, all = decoder.config().vocab_size;
    vocab_size_ = own > 0 ? std::min(own, all) : all;
    std::vector<TokenId> never;
    for (const TokenId id : options.prompts.never_drawn)
      if (id >= 0 && id < vocab_size_) never.push_back(id);
    never_drawn_ = on_device(never);
    for (uint64_t i = 0; i < drafts.size(); ++i) random_.emplace_back(options.seed + i);
  }

  // Reads the prompts and draws the first id of each.
  void start() {
    for (int64_t i = 0; i < std::ssize(drafts_); ++i) {
      Draft& draft = drafts_[i];
      const SharedPrefix& text = *draft.full_text;
      // The text's last token is read again: an empty prompt has no hidden state to draw from.
      cache_.copy_sequence(text.keys_and_values(decoder_), 0, i);
      cache_.truncate(i, text.size() - 1);
      std::vector<TokenId> ids{text.tokens().back()};
      ids.insert(ids.end(), draft.prompt.begin(), draft.prompt.end());
      add(i, ids);
    }
    draw();
  }

  bool is_running() const { return !running_.empty(); }

  // Reads the last id of each running draft and draws the next.
  void step() {
    for (const int64_t i : std::exchange(running_, {})) add(i, {&drafts_[i].ids.back(), 1});
    draw();
  }

 private:
  at::Tensor on_device(const std::vector<int64_t>& values) const {
    return ops::copy_to_device_async(at::tensor(values, at::kLong), decoder_.options().device());
  }

  // Adds ids of draft i to the next pass.
  void add(int64_t i, std::span<const TokenId> ids) {
    const int64_t first = cache_.length(i);
    for (int64_t j = 0; j < std::ssize(ids); ++j) positions_.push_back(first + j);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    ends_.push_back(std::ssize(ids_));
    reading_.push_back(i);
  }

  // The hidden state of the last id of each draft of the pass, [drafts, hidden].
  at::Tensor read() {
    DecoderInput input;
    input.embeddings = decoder_.embed(on_device(ids_));
    input.positions = on_device(positions_);
    input.cu_seqlens.push_back(0);
    input.cu_seqlens.insert(input.cu_seqlens.end(), ends_.begin(), ends_.end());
    input.cache_sequences = reading_;
    std::vector<int64_t> last = ends_;
    for (int64_t& index : last) --index;
    input.output_indices = on_device(last);
    ids_.clear();
    positions_.clear();
    ends_.clear();
    return forward_outputs(decoder_, input, cache_);
  }

  void draw() {
    at::Tensor logits = decoder_.logits(read())
                            .narrow(1, 0, vocab_size_)
                            .to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    // Finite, and too far below all others to be drawn.
    if (never_drawn_.numel() > 0)
      logits.index_fill_(1, never_drawn_, -std::numeric_limits<float>::max());
    std::vector<uint64_t> random;
    for (const int64_t i : reading_) random.push_back(random_[i]());
    const auto drawn = ops::sample(logits, {}, random);
    const std::vector<int64_t> reading = std::exchange(reading_, {});
    for (size_t row = 0; row < drawn.size(); ++row) append(reading[row], drawn[row]);
  }

  void append(int64_t i, const std::optional<int64_t>& id) {
    PRECIS_CHECK(id.has_value(),
                 kBadWeights,
                 "refine: the model's logits are not finite; its weights are damaged");
    Draft& draft = drafts_[i];
    draft.ids.push_back(*id);
    draft.stopped = options_.prompts.stop_ids.contains(*id);
    if (!draft.stopped && std::ssize(draft.ids) < options_.max_tokens) running_.push_back(i);
  }

  std::span<Draft> drafts_;
  const DrawOptions& options_;
  const Decoder& decoder_;
  KvCache cache_;  // draft i is sequence i
  int64_t vocab_size_ = 0;
  at::Tensor never_drawn_;               // [n] int64
  std::vector<std::mt19937_64> random_;  // one for each draft: none depends on the others
  std::vector<int64_t> running_;         // indices of drafts
  std::vector<TokenId> ids_;             // of the next pass
  std::vector<int64_t> positions_, ends_, reading_;
};

}  // namespace

void draw_drafts(std::span<Draft> drafts,
                 const DrawOptions& options,
                 const Decoder& decoder,
                 const std::function<bool()>& goes_on) {
  if (drafts.empty()) return;
  DraftBatch batch(drafts, options, decoder);
  batch.start();
  while (batch.is_running() && goes_on()) batch.step();
}

}  // namespace precis
