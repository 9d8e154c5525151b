// SPDX-License-Identifier: Apache-2.0
#include "compressors/repeat_pass.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"
#include "compressors/layer_plan.h"
#include "compressors/passes.h"

namespace precis {
namespace {

constexpr int64_t kLargestChunk = 2048;
constexpr int64_t kSmallestChunk = 256;
constexpr int64_t kTokensAtOnce = 8;  // few, so that their attention stays in the cache
constexpr int64_t kPieces = 8;        // of a pass and head, for threads
constexpr double kMasked = -std::numeric_limits<double>::infinity();

class RepeatScores {
 public:
  RepeatScores(const RepeatPass& pass, const Decoder& decoder, KvCache& cache)
      : pass_(pass), decoder_(decoder), config_(decoder.config()), cache_(cache) {
    scores_ = at::zeros({config_.num_layers, config_.num_kv_heads, num_tokens()},
                        decoder.options().dtype(at::kFloat));
  }

  at::Tensor run() {
    const int64_t chunk =
        repeat_chunk(num_tokens(), std::ssize(pass_.prompt), config_.context_length);
    for (int64_t first = 0; first < num_tokens(); first += chunk)
      repeat(first, std::min(chunk, num_tokens() - first));
    PRECIS_CHECK(scores_.isfinite().all().item<bool>(),
                 kBadWeights,
                 pass_.method,
                 ": the model's attention is not finite; its weights are damaged");
    return scores_;
  }

 private:
  int64_t num_tokens() const { return std::ssize(pass_.ids); }

  void repeat(int64_t first, int64_t size) {
    std::vector<TokenId> ids(pass_.prompt.begin(), pass_.prompt.end());
    const auto chunk = pass_.ids.subspan(first, size);
    ids.insert(ids.end(), chunk.begin(), chunk.end());
    const LayerObserver observer = [&](const ObservedLayer& layer) {
      score(layer);
      if (pass_.observer != nullptr) (*pass_.observer)(layer);
      const double layers =
          static_cast<double>(layer.index + 1) / static_cast<double>(config_.num_layers);
      report_progress(pass_.progress,
                      (static_cast<double>(first) + layers * static_cast<double>(size)) /
                          static_cast<double>(num_tokens()));
    };
    const at::Tensor embeddings = embed(decoder_, ids);
    fill_cache_observed(decoder_, {&embeddings, 1}, cache_, observer, pass_.method);
    cache_.truncate(0, num_tokens());
  }

  // Raises each text token's score to the largest attention that it receives in this pass.
  void score(const ObservedLayer& layer) {
    const int64_t n = layer.queries.size(0), heads = config_.num_kv_heads;
    const at::Tensor tokens = at::arange(n, scores_.options().dtype(at::kLong));
    const at::Tensor queries =
        rotated_queries(layer, tokens, tokens + num_tokens(), config_);  // [kv_heads, group, n, d]
    const at::Tensor keys =
        cache_.rows(layer.index, 0, 0, num_tokens() + n).first.to(at::kFloat).transpose(1, 2);
    const int64_t pieces = std::min(n, kPieces);
    std::vector<at::Tensor> received(heads * pieces);
    const auto receive = [&](int64_t first, int64_t last) {
      const c10::InferenceMode inference;  // the mode is local to each thread
      for (int64_t i = first; i < last; ++i) {
        const int64_t head = i / pieces, piece = i % pieces;
        received[i] = largest_attention(queries[head],
                                        keys[head],
                                        {n * piece / pieces, n * (piece + 1) / pieces},
                                        config_.windowed[layer.index]);
      }
    };
    if (scores_.is_cpu())
      for_ranges(heads * pieces, 1, receive);
    else
      receive(0, heads * pieces);
    const at::Tensor best = at::stack(received).view({heads, pieces, num_tokens()}).amax(1);
    at::Tensor scores = scores_[layer.index];
    scores.copy_(at::maximum(scores, best));
  }

  // The largest attention that each text token receives from tokens first .. last - 1 of the pass,
  // [num_tokens]. queries: [group, n, head_dim], keys: [head_dim, num_tokens + n].
  at::Tensor largest_attention(const at::Tensor& queries,
                               const at::Tensor& keys,
                               std::pair<int64_t, int64_t> range,
                               bool windowed) const {
    at::Tensor largest = at::zeros({num_tokens()}, scores_.options());
    const int64_t at_once = scores_.is_cpu() ? kTokensAtOnce : range.second - range.first;
    for (int64_t first = range.first; first < range.second; first += at_once) {
      const int64_t count = std::min(at_once, range.second - first);
      const int64_t visible = num_tokens() + first + count;  // keys up to the last of these tokens
      at::Tensor attention = queries.narrow(1, first, count).matmul(keys.narrow(1, 0, visible));
      mask(attention, num_tokens() + first, windowed);
      attention = attention.softmax(2).narrow(2, 0, num_tokens());
      largest = at::maximum(largest, attention.amax({0, 1}));
    }
    return largest;
  }

  // Masks the keys that tokens from position `first` on do not attend to.
  // scores: [group, count, first + count].
  void mask(at::Tensor& scores, int64_t first, bool windowed) const {
    const int64_t count = scores.size(1);
    const auto index = scores.options().dtype(at::kLong);
    const int64_t seen_by_all = windowed ? 0 : first;
    const at::Tensor distance = at::arange(first, first + count, index).unsqueeze(1) -
                                at::arange(seen_by_all, first + count, index);
    at::Tensor hidden = distance < 0;
    if (windowed) hidden = hidden | (distance >= config_.window);
    scores.narrow(2, seen_by_all, first + count - seen_by_all).masked_fill_(hidden, kMasked);
  }

  const RepeatPass& pass_;
  const Decoder& decoder_;
  const DecoderConfig& config_;
  KvCache& cache_;
  at::Tensor scores_;  // [num_layers, kv_heads, num_tokens]
};

}  // namespace

int64_t longest_repeated(int64_t window, int64_t prompt_tokens) {
  const int64_t room = window - prompt_tokens;
  return room >= 2 * kSmallestChunk ? room - kSmallestChunk : room / 2;
}

int64_t repeat_chunk(int64_t num_tokens, int64_t prompt_tokens, int64_t window) {
  const int64_t room = window - prompt_tokens - num_tokens;
  return std::max<int64_t>(1, std::min({kLargestChunk, room, num_tokens}));
}

at::Tensor repeat_scores(const RepeatPass& pass, const Decoder& decoder, KvCache& cache) {
  return RepeatScores(pass, decoder, cache).run();
}

}  // namespace precis
