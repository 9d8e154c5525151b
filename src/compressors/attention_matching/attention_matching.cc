// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/attention_matching.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "compressors/attention_matching/fit_limits.h"
#include "compressors/attention_matching/layer_fit.h"
#include "compressors/passes.h"

namespace precis {
namespace {

constexpr const char* kMethod = "attention_matching";
constexpr int64_t kMostLayers = 4;  // most layers whose queries are held to be fitted together

// A layer that is still to be fitted.
struct PendingLayer {
  int64_t index;
  LayerPlan plan;
  at::Tensor queries;  // [kv_heads, m, head_dim] float32 reference queries
  at::Tensor keys;     // [kv_heads, num_tokens, head_dim], in the decoder's dtype
  at::Tensor values;
};

// Fits the layers of one pass over a text as the observer reports them.
class TextFit {
 public:
  TextFit(const SelectionRequest& request, const Decoder& decoder)
      : request_(request), decoder_(decoder), config_(decoder.config()) {
    const int64_t layers = config_.num_layers, heads = config_.num_kv_heads;
    selected_.keys = at::empty({layers, heads, request.count, config_.head_dim}, decoder.options());
    selected_.values = at::empty_like(selected_.keys);
    selected_.rows = at::empty({layers, heads, request.count}, decoder.options().dtype(at::kLong));
  }

  SelectedRows run() {
    KvCache cache(config_.kv_shape(), decoder_.options());
    const LayerObserver observer = [&](const ObservedLayer& layer) { observe(layer, cache); };
    const at::Tensor text = embed(decoder_, request_.ids);
    fill_cache_observed(decoder_, {&text, 1}, cache, observer, kMethod);
    return std::move(selected_);
  }

 private:
  int64_t num_tokens() const { return std::ssize(request_.ids); }

  void observe(const ObservedLayer& layer, const KvCache& cache) {
    PendingLayer pending{layer.index, plan_layer(request_, config_, layer.index), {}, {}, {}};
    std::tie(pending.keys, pending.values) = cache.rows(layer.index, 0, 0, num_tokens());
    if (pending.plan.count > 0) pending.queries = reference_queries(layer, pending.plan.candidates);
    pending_.push_back(std::move(pending));
    ++num_observed_;
    if (std::ssize(pending_) == layers_together() || num_observed_ == config_.num_layers)
      fit_pending();
    report_progress(request_.progress,
                    static_cast<double>(num_observed_) / static_cast<double>(config_.num_layers));
  }

  // Queries of the candidates, rotated to the positions after the text, as tokens that follow will
  // have them. At most kMostQueries for each key/value head: those of its query heads,
  // concatenated.
  at::Tensor reference_queries(const ObservedLayer& layer, const TokenRange& candidates) const {
    const int64_t group = config_.num_heads / config_.num_kv_heads;
    const int64_t n = std::min(candidates.size, std::max<int64_t>(1, kMostQueries / group));
    const auto index = layer.queries.options().dtype(at::kLong);
    const at::Tensor offsets = at::arange(n, index).mul_(candidates.size).floor_divide_(n);
    return rotated_queries(layer, offsets + candidates.first, offsets + num_tokens(), config_)
        .flatten(1, 2);
  }

  // The fewest layers, up to kMostLayers, whose heads can be shared equally among the threads.
  int64_t layers_together() const {
    const int64_t threads = at::get_num_threads(), heads = config_.num_kv_heads;
    int64_t layers = 1;
    while (layers < kMostLayers && layers * heads % threads != 0) ++layers;
    return layers;
  }

  void fit_pending() {
    const int64_t heads = config_.num_kv_heads;
    if (!decoder_.options().device().is_cpu()) {
      for (const PendingLayer& layer : pending_) fit(layer, 0, heads);
    } else {
      for_ranges(heads * std::ssize(pending_), 1, [&](int64_t first, int64_t last) {
        const c10::InferenceMode inference;  // the mode is local to each thread
        for (int64_t i = first; i < last; ++i) fit(pending_[i / heads], i % heads, 1);
      });
    }
    pending_.clear();
  }

  void fit(const PendingLayer& layer, int64_t first, int64_t count) {
    const auto own = [&](const at::Tensor& x) {
      return x.defined() ? x.narrow(0, first, count).to(at::kFloat) : x;
    };
    const at::ScalarType dtype = selected_.keys.scalar_type();
    const FittedRows fitted =
        fit_layer({own(layer.queries), own(layer.keys), own(layer.values)}, layer.plan, dtype);
    const auto store = [&](const at::Tensor& all, const at::Tensor& own_heads) {
      all[layer.index].narrow(0, first, count).copy_(own_heads);
    };
    store(selected_.keys, fitted.keys);
    store(selected_.values, fitted.values);
    store(selected_.rows, fitted.rows);
  }

  const SelectionRequest& request_;
  const Decoder& decoder_;
  const DecoderConfig& config_;
  SelectedRows selected_;
  std::vector<PendingLayer> pending_;
  int64_t num_observed_ = 0;
};

class AttentionMatching final : public RowSelector {
 public:
  explicit AttentionMatching(const Decoder& decoder) : decoder_(decoder) {}
  SelectedRows select(const SelectionRequest& request) const override {
    return TextFit(request, decoder_).run();
  }

 private:
  const Decoder& decoder_;
};

}  // namespace

std::unique_ptr<RowSelector> make_attention_matching(const Decoder& decoder) {
  return std::make_unique<AttentionMatching>(decoder);
}

}  // namespace precis
