// SPDX-License-Identifier: Apache-2.0
#include "compressors/kvzip/kvzip.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/check.h"
#include "compressors/head_budgets.h"
#include "compressors/layer_plan.h"
#include "compressors/passes.h"
#include "compressors/repeat_pass.h"

namespace precis {
namespace {

// Reads a text, scores its cached tokens by passes that repeat it, and keeps the best of each head.
class TextSelection {
 public:
  TextSelection(const SelectionRequest& request,
                std::span<const TokenId> repeat,
                const Decoder& decoder)
      : request_(request),
        config_(decoder.config()),
        cache_(config_.kv_shape(), decoder.options()) {
    const at::Tensor text = embed(decoder, request.ids);
    fill_cache(decoder, {&text, 1}, cache_);
    scores_ =
        repeat_scores({request.ids, repeat, nullptr, request.progress, "kvzip"}, decoder, cache_);
    lengths_ = head_lengths(scores_, request, config_);
  }

  SelectedRows run() {
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
      const auto cached = cache_.rows(layer, 0, 0, std::ssize(request_.ids));
      for (int64_t head = 0; head < config_.num_kv_heads; ++head) {
        rows_.push_back(kept_tokens(layer, head));
        keys_.push_back(cached.first[head].index_select(0, rows_.back()));
        values_.push_back(cached.second[head].index_select(0, rows_.back()));
      }
    }
    return {at::cat(keys_, 0), at::cat(values_, 0), at::cat(rows_, 0), lengths_};
  }

 private:
  // Indices of the tokens to keep of a head, int64, ascending.
  at::Tensor kept_tokens(int64_t layer, int64_t head) const {
    const LayerPlan plan = plan_layer(request_, config_, layer);
    const TokenRange &kept = plan.copied, &from = plan.candidates;
    const int64_t count = lengths_[layer][head].item<int64_t>() - kept.size;
    const at::Tensor scores = scores_[layer][head].narrow(0, from.first, from.size);
    const at::Tensor best = std::get<1>(scores.topk(count, 0)) + from.first;
    const at::Tensor copied = at::arange(kept.first, kept.first + kept.size, best.options());
    return std::get<0>(at::cat({copied, best}, 0).sort(0));
  }

  const SelectionRequest& request_;
  const DecoderConfig& config_;
  KvCache cache_;
  at::Tensor scores_;   // [num_layers, kv_heads, num_tokens]
  at::Tensor lengths_;  // [num_layers, kv_heads]
  std::vector<at::Tensor> keys_, values_, rows_;
};

class KvZip final : public RowSelector {
 public:
  KvZip(std::vector<TokenId> repeat, const Decoder& decoder)
      : repeat_(std::move(repeat)), decoder_(decoder) {}

  std::string settings() const override {
    std::string settings = "head budgets, ";
    for (const TokenId id : repeat_) settings += concat(id, " ");
    return settings;
  }

  SelectedRows select(const SelectionRequest& request) const override {
    return TextSelection(request, repeat_, decoder_).run();
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
