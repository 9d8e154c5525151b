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
constexpr int64_t kMostLayers = 4;  // whose queries are held until they are fitted together

// A layer that waits to be fitted.
struct SeenLayer {
  int64_t index;
  LayerPlan plan;
  at::Tensor queries;  // [kv_heads, m, head_dim] float32 reference queries
  at::Tensor keys;     // [kv_heads, num_rows, head_dim], in the decoder's dtype
  at::Tensor values;
};

// Fits the layers of one pass over a text as they come.
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
    const LayerObserver observer = [&](const ObservedLayer& layer) { see(layer, cache); };
    const at::Tensor text = embed(decoder_, request_.ids);
    fill_cache_observed(decoder_, {&text, 1}, cache, observer, kMethod);
    return std::move(selected_);
  }

 private:
  int64_t num_rows() const { return std::ssize(request_.ids); }

  void see(const ObservedLayer& layer, const KvCache& cache) {
    SeenLayer seen{layer.index, plan_layer(request_, config_, layer.index), {}, {}, {}};
    std::tie(seen.keys, seen.values) = cache.rows(layer.index, 0, 0, num_rows());
    if (seen.plan.count > 0) seen.queries = reference_queries(layer, seen.plan.candidates);
    waiting_.push_back(std::move(seen));
    ++num_seen_;
    if (std::ssize(waiting_) == layers_together() || num_seen_ == config_.num_layers) fit_waiting();
    report_progress(request_.progress,
                    static_cast<double>(num_seen_) / static_cast<double>(config_.num_layers));
  }

  // Queries of the candidates as if they stood behind the text, where what follows will stand, at
  // most kMostQueries a key/value head: those of its query heads after each other.
  at::Tensor reference_queries(const ObservedLayer& layer, const TokenRange& candidates) const {
    const int64_t group = config_.num_heads / config_.num_kv_heads;
    const int64_t n = std::min(candidates.size, std::max<int64_t>(1, kMostQueries / group));
    const auto index = layer.queries.options().dtype(at::kLong);
    const at::Tensor offsets = at::arange(n, index).mul_(candidates.size).floor_divide_(n);
    return rotated_queries(layer, offsets + candidates.first, offsets + num_rows(), config_)
        .flatten(1, 2);
  }

  // Enough layers for all threads to have heads of the same size to fit.
  int64_t layers_together() const {
    const int64_t threads = at::get_num_threads(), heads = config_.num_kv_heads;
    int64_t layers = 1;
    while (layers < kMostLayers && layers * heads % threads != 0) ++layers;
    return layers;
  }

  void fit_waiting() {
    const int64_t heads = config_.num_kv_heads;
    if (!decoder_.options().device().is_cpu()) {
      for (const SeenLayer& layer : waiting_) fit(layer, 0, heads);
    } else {
      for_ranges(heads * std::ssize(waiting_), 1, [&](int64_t first, int64_t last) {
        const c10::InferenceMode inference;  // of this thread
        for (int64_t i = first; i < last; ++i) fit(waiting_[i / heads], i % heads, 1);
      });
    }
    waiting_.clear();
  }

  void fit(const SeenLayer& layer, int64_t first, int64_t count) {
    const auto own = [&](const at::Tensor& x) {
      return x.defined() ? x.narrow(0, first, count).to(at::kFloat) : x;
    };
    const at::ScalarType dtype = selected_.keys.scalar_type();
    const FittedRows fitted =
        fit_layer({own(layer.queries), own(layer.keys), own(layer.values)}, layer.plan, dtype);
    const auto store = [&](const at::Tensor& all, const at::Tensor& rows) {
      all[layer.index].narrow(0, first, count).copy_(rows);
    };
    store(selected_.keys, fitted.keys);
    store(selected_.values, fitted.values);
    store(selected_.rows, fitted.rows);
  }

  const SelectionRequest& request_;
  const Decoder& decoder_;
  const DecoderConfig& config_;
  SelectedRows selected_;
  std::vector<SeenLayer> waiting_;
  int64_t num_seen_ = 0;
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
