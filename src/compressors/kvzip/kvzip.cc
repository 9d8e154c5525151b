// SPDX-License-Identifier: Apache-2.0
#include "compressors/kvzip/kvzip.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "compressors/layer_plan.h"
#include "compressors/passes.h"

namespace precis {
namespace {

constexpr const char* kMethod = "kvzip";
constexpr int64_t kQueriesAtOnce = 128;  // bounds the memory that attention takes

// Reads a text, then scores its cached tokens by passes that repeat it over the same cache.
class TextScores {
 public:
  TextScores(const SelectionRequest& request,
             std::span<const TokenId> repeat,
             const Decoder& decoder)
      : request_(request),
        repeat_(repeat),
        decoder_(decoder),
        config_(decoder.config()),
        cache_(config_.kv_shape(), decoder.options()) {
    const at::Tensor text = embed(decoder, request.ids);
    fill_cache(decoder, {&text, 1}, cache_);
    scores_ = at::zeros({config_.num_layers, config_.num_kv_heads, num_tokens()},
                        decoder.options().dtype(at::kFloat));
  }

  SelectedRows run() {
    for (int64_t first = 0; first < num_tokens(); first += kRepeatChunk)
      repeat_chunk(first, std::min(kRepeatChunk, num_tokens() - first));
    PRECIS_CHECK(scores_.isfinite().all().item<bool>(),
                 kBadWeights,
                 kMethod,
                 ": the model's attention is not finite; its weights are damaged");
    std::vector<at::Tensor> keys, values, rows;
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      rows.push_back(kept_tokens(layer));
      const auto cached = cache_.rows(layer, 0, 0, num_tokens());
      const auto index = rows.back().unsqueeze(2).expand({-1, -1, config_.head_dim});
      keys.push_back(cached.first.gather(1, index));
      values.push_back(cached.second.gather(1, index));
    }
    return {at::stack(keys), at::stack(values), at::stack(rows)};
  }

 private:
  int64_t num_tokens() const { return std::ssize(request_.ids); }

  void repeat_chunk(int64_t first, int64_t size) {
    std::vector<TokenId> ids(repeat_.begin(), repeat_.end());
    const auto chunk = request_.ids.subspan(first, size);
    ids.insert(ids.end(), chunk.begin(), chunk.end());
    int64_t num_observed = 0;
    const LayerObserver observer = [&](const ObservedLayer& layer) {
      score(layer);
      const double layers =
          static_cast<double>(++num_observed) / static_cast<double>(config_.num_layers);
      request_.progress((static_cast<double>(first) + layers * static_cast<double>(size)) /
                        static_cast<double>(num_tokens()));
    };
    const at::Tensor embeddings = embed(decoder_, ids);
    fill_cache_observed(decoder_, {&embeddings, 1}, cache_, observer, kMethod);
    cache_.truncate(0, num_tokens());
  }

  // Raises each text token's score to the largest attention that it receives in this pass.
  void score(const ObservedLayer& layer) {
    const int64_t n = layer.queries.size(0), all = num_tokens() + n;
    const at::Tensor keys =
        cache_.rows(layer.index, 0, 0, all).first.to(at::kFloat).unsqueeze(1).transpose(2, 3);
    at::Tensor scores = scores_[layer.index];
    for (int64_t first = 0; first < n; first += kQueriesAtOnce) {
      const int64_t count = std::min(kQueriesAtOnce, n - first);
      const at::Tensor tokens = at::arange(first, first + count, scores.options().dtype(at::kLong));
      const at::Tensor positions = tokens + num_tokens();
      const at::Tensor queries = rotated_queries(layer, tokens, positions, config_);
      const at::Tensor attention = queries.matmul(keys)
                                       .masked_fill_(masked(positions, all, layer.index), kMasked)
                                       .softmax(3);
      const at::Tensor received = attention.narrow(3, 0, num_tokens()).amax({1, 2});
      scores.copy_(at::maximum(scores, received));
    }
  }

  // Mask of the keys that each query does not attend to, [n, num_keys] bool.
  at::Tensor masked(const at::Tensor& positions, int64_t num_keys, int64_t layer) const {
    const at::Tensor distance = positions.unsqueeze(1) - at::arange(num_keys, positions.options());
    at::Tensor result = distance < 0;
    if (config_.windowed[layer]) result = result | (distance >= config_.window);
    return result;
  }

  // Indices of the tokens to keep, [kv_heads, count] int64, ascending.
  at::Tensor kept_tokens(int64_t layer) const {
    const LayerPlan plan = plan_layer(request_, config_, layer);
    const TokenRange &kept = plan.copied, &from = plan.candidates;
    const at::Tensor scores = scores_[layer].narrow(1, from.first, from.size);
    const at::Tensor best = std::get<1>(scores.topk(plan.count, 1)) + from.first;
    const at::Tensor copied = at::arange(kept.first, kept.first + kept.size, best.options());
    return std::get<0>(
        at::cat({copied.expand({config_.num_kv_heads, kept.size}), best}, 1).sort(1));
  }

  static constexpr double kMasked = -std::numeric_limits<double>::infinity();

  const SelectionRequest& request_;
  std::span<const TokenId> repeat_;
  const Decoder& decoder_;
  const DecoderConfig& config_;
  KvCache cache_;
  at::Tensor scores_;  // [num_layers, kv_heads, num_tokens]
};

class KvZip final : public RowSelector {
 public:
  KvZip(std::vector<TokenId> repeat, const Decoder& decoder)
      : repeat_(std::move(repeat)), decoder_(decoder) {}

  std::string settings() const override {
    std::string settings;
    for (const TokenId id : repeat_) settings += concat(id, " ");
    return settings;
  }

  SelectedRows select(const SelectionRequest& request) const override {
    return TextScores(request, repeat_, decoder_).run();
  }

 private:
  std::vector<TokenId> repeat_;
  const Decoder& decoder_;
};

}  // namespace

std::unique_ptr<RowSelector> make_kvzip(std::vector<TokenId> repeat, const Decoder& decoder) {
  return std::make_unique<KvZip>(std::move(repeat), decoder);
}

}  // namespace precis
