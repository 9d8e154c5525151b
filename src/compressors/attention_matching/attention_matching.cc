// SPDX-License-Identifier: Apache-2.0
#include "compressors/attention_matching/attention_matching.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"
#include "compressors/attention_matching/fit_limits.h"
#include "compressors/attention_matching/layer_fit.h"
#include "compressors/head_budgets.h"
#include "compressors/passes.h"
#include "compressors/repeat_pass.h"

namespace precis {
namespace {

constexpr const char* kMethod = "attention_matching";
constexpr int64_t kLayersTogether = 8;  // layers that are fitted between two reports of progress

// Shares of the time, for progress.
constexpr double kRead = 0.2, kRepeated = 0.5;

// What was read of a layer.
struct ReadLayer {
  LayerPlan plan;
  std::vector<at::Tensor> queries;  // [kv_heads, m, head_dim] each, in the decoder's dtype
};

// Reads a text, repeats it, then fits its layers.
class TextFit {
 public:
  TextFit(const SelectionRequest& request, std::span<const TokenId> repeat, const Decoder& decoder)
      : request_(request),
        repeat_(repeat),
        decoder_(decoder),
        config_(decoder.config()),
        cache_(config_.kv_shape(), decoder.options()) {}

  SelectedRows run() {
    read();
    repeat();
    lengths_ = head_lengths(scores_, request_, config_);
    fitted_.resize(num_heads());
    for (int64_t layer = 0; layer < config_.num_layers; layer += kLayersTogether) {
      const int64_t end = std::min(layer + kLayersTogether, config_.num_layers);
      fit(layer * config_.num_kv_heads, end * config_.num_kv_heads);
      report(kRepeated, 1.0, end);
    }
    return joined();
  }

 private:
  int64_t num_tokens() const { return std::ssize(request_.ids); }
  int64_t num_heads() const { return config_.num_layers * config_.num_kv_heads; }
  int64_t most_tokens() const {  // whose queries a pass contributes
    return std::max<int64_t>(1, kMostQueries * config_.num_kv_heads / config_.num_heads);
  }

  void report(double from, double to, int64_t layers_done) const {
    const double done = static_cast<double>(layers_done) / static_cast<double>(config_.num_layers);
    report_progress(request_.progress, from + (to - from) * done);
  }

  void read() {
    const LayerObserver observer = [&](const ObservedLayer& layer) {
      ReadLayer own{plan_layer(request_, config_, layer.index), {}};
      const TokenRange& from = own.plan.candidates;
      if (own.plan.count > 0) own.queries.push_back(queries(layer, from, most_tokens()));
      layers_.push_back(std::move(own));
      report(0, kRead, layer.index + 1);
    };
    const at::Tensor text = embed(decoder_, request_.ids);
    fill_cache_observed(decoder_, {&text, 1}, cache_, observer, kMethod);
  }

  // A layer with a window does not see the text from where it is repeated.
  void repeat() {
    const LayerObserver observer = [&](const ObservedLayer& layer) {
      const int64_t size = layer.queries.size(0);
      const int64_t most = std::max<int64_t>(1, most_tokens() * size / num_repeated());
      if (!config_.windowed[layer.index])
        layers_[layer.index].queries.push_back(queries(layer, {0, size}, most));
    };
    const CompressProgress progress = [&](double done) {
      report_progress(request_.progress, kRead + (kRepeated - kRead) * done);
      return true;
    };
    scores_ =
        repeat_scores({request_.ids, repeat_, &observer, progress, kMethod}, decoder_, cache_);
  }

  // Tokens of all passes that repeat the text.
  int64_t num_repeated() const {
    const int64_t chunk = repeat_chunk(num_tokens(), std::ssize(repeat_), config_.context_length);
    const int64_t passes = (num_tokens() + chunk - 1) / chunk;
    return num_tokens() + passes * std::ssize(repeat_);
  }

  // Queries of at most `most` tokens of a pass, at equal distances, rotated to positions after the
  // text, as tokens that follow will have them: those of a key/value head's query heads,
  // concatenated.
  at::Tensor queries(const ObservedLayer& layer, const TokenRange& range, int64_t most) const {
    const int64_t n = std::min(range.size, most);
    const at::Tensor offsets =
        at::arange(n, layer.queries.options().dtype(at::kLong)).mul_(range.size).floor_divide_(n);
    return rotated_queries(layer, offsets + range.first, offsets + num_tokens(), config_)
        .flatten(1, 2)
        .to(layer.queries.scalar_type());
  }

  // Fits heads first .. last - 1 of all layers' heads.
  void fit(int64_t first, int64_t last) {
    if (!decoder_.options().device().is_cpu()) return fit_in_order(first, last);
    for_ranges(last - first, 1, [&](int64_t begin, int64_t end) {
      const c10::InferenceMode inference;  // the mode is local to each thread
      fit_in_order(first + begin, first + end);
    });
  }

  void fit_in_order(int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      fitted_[i] = fit_head(i / config_.num_kv_heads, i % config_.num_kv_heads);
  }

  FittedRows fit_head(int64_t layer, int64_t head) const {
    const ReadLayer& read = layers_[layer];
    const auto own = [&](const at::Tensor& x) { return x.narrow(0, head, 1).to(at::kFloat); };
    std::vector<at::Tensor> queries;
    for (const at::Tensor& of_pass : read.queries) queries.push_back(own(of_pass));
    const auto [keys, values] = cache_.rows(layer, 0, 0, num_tokens());
    LayerHeads heads{at::Tensor(), own(keys), own(values), at::Tensor()};
    if (!queries.empty()) heads.queries = at::cat(queries, 1);
    const TokenRange& from = read.plan.candidates;
    if (!config_.windowed[layer])
      heads.scores = scores_[layer].narrow(0, head, 1).narrow(1, from.first, from.size);
    LayerPlan plan = read.plan;
    if (plan.count > 0) plan.count = lengths_[layer][head].item<int64_t>() - plan.copied.size;
    return fit_layer(heads, plan, decoder_.options().dtype().toScalarType());
  }

  SelectedRows joined() const {
    std::vector<at::Tensor> keys, values, rows;
    for (const FittedRows& head : fitted_) {
      keys.push_back(head.keys[0]);
      values.push_back(head.values[0]);
      rows.push_back(head.rows[0]);
    }
    const auto stored = [&](const std::vector<at::Tensor>& x) {
      return at::cat(x, 0).to(decoder_.options());
    };
    return {stored(keys), stored(values), at::cat(rows, 0), lengths_};
  }

  const SelectionRequest& request_;
  std::span<const TokenId> repeat_;
  const Decoder& decoder_;
  const DecoderConfig& config_;
  KvCache cache_;
  std::vector<ReadLayer> layers_;
  at::Tensor scores_;               // [num_layers, kv_heads, num_tokens]
  at::Tensor lengths_;              // [num_layers, kv_heads]
  std::vector<FittedRows> fitted_;  // [num_layers * kv_heads], one head each
};

class AttentionMatching final : public RowSelector {
 public:
  AttentionMatching(std::vector<TokenId> repeat, const Decoder& decoder)
      : repeat_(std::move(repeat)), decoder_(decoder) {}

  std::string settings() const override {
    std::string settings = "head budgets, repeated queries, ";
    for (const TokenId id : repeat_) settings += concat(id, " ");
    return settings;
  }

  SelectedRows select(const SelectionRequest& request) const override {
    return TextFit(request, repeat_, decoder_).run();
  }

 private:
  std::vector<TokenId> repeat_;
  const Decoder& decoder_;
};

}  // namespace

std::unique_ptr<RowSelector> make_attention_matching(std::vector<TokenId> repeat,
                                                     const Decoder& decoder) {
  return std::make_unique<AttentionMatching>(std::move(repeat), decoder);
}

}  // namespace precis
