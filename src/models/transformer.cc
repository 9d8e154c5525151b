// SPDX-License-Identifier: Apache-2.0
#include "models/transformer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "base/check.h"
#include "base/pass_threads.h"
#include "models/adapter.h"
#include "models/executors/cpu_team.h"
#include "models/executors/cuda_graph.h"
#include "models/executors/op_by_op.h"
#include "models/layer.h"
#include "models/linear.h"
#include "models/neutral_tensors.h"
#include "models/tied_head.h"
#include "models/weight_arena.h"
#include "ops/gather_rows.h"
#include "ops/quantized_weight.h"

namespace precis {
namespace {

void check_input(const DecoderInput& input, int64_t hidden_size) {
  PRECIS_CHECK(input.embeddings.dim() == 2 && input.embeddings.size(1) == hidden_size,
               kInvalidArgument,
               "decoder: expected embeddings [n, ",
               hidden_size,
               "], got [",
               input.embeddings.sizes(),
               "]");
  PRECIS_CHECK(input.positions.dim() == 1 && input.positions.size(0) == input.embeddings.size(0),
               kInvalidArgument,
               "decoder: ",
               input.embeddings.size(0),
               " tokens, but positions [",
               input.positions.sizes(),
               "]");
  const auto& starts = input.cu_seqlens;
  PRECIS_CHECK(
      starts.size() == input.cache_sequences.size() + 1 && starts.size() > 1 &&
          starts.front() == 0 && starts.back() == input.embeddings.size(0) &&
          std::adjacent_find(starts.begin(), starts.end(), std::greater_equal<>()) == starts.end(),
      kInvalidArgument,
      "decoder: sequences of at least one row each have to cover the rows");
  const at::Tensor& seen = input.visible_cache_len;
  PRECIS_CHECK(!seen.defined() || (seen.scalar_type() == at::kLong && seen.dim() == 1 &&
                                   seen.size(0) == input.embeddings.size(0)),
               kInvalidArgument,
               "decoder: visible_cache_len do not name each of the ",
               input.embeddings.size(0),
               " rows");
  const at::Tensor& outputs = input.output_indices;
  PRECIS_CHECK(!outputs.defined() || (outputs.scalar_type() == at::kLong && outputs.dim() == 1),
               kInvalidArgument,
               "decoder: output_indices are no list of rows");
  // Indices on a GPU are not checked, since that would wait for it.
  PRECIS_CHECK(!outputs.defined() || !outputs.is_cpu() || outputs.numel() == 0 ||
                   (outputs.min().item<int64_t>() >= 0 &&
                    outputs.max().item<int64_t>() < input.embeddings.size(0)),
               kInvalidArgument,
               "decoder: output_indices are outside the ",
               input.embeddings.size(0),
               " rows");
}

class Transformer final : public Decoder {
 public:
  Transformer(const DecoderConfig& config,
              const Weights& weights,
              c10::TensorOptions options,
              int64_t bits)
      : options_(options), fingerprint_(weights.source().fingerprint()) {
    stack_.config = config;
    models::WeightArena arena;
    const std::string& origin = weights.source().origin();
    const auto stored = [&](const models::Linear& linear) {
      return models::moved(bits > 0 ? quantized(linear, bits, origin) : linear, arena);
    };
    // Embedding and head are quantised to 8 bits in both formats: 4 bits are too few for them. They
    // are by far the largest matrices, so they are read and quantised a few rows at a time.
    const auto table = [&](const char* name) {
      const std::vector<int64_t> shape{config.vocab_size, config.hidden_size};
      if (bits == 0) return stored({weights.take(name, shape), {}});
      const auto rows = [&](int64_t first, int64_t count) {
        return weights.take_rows(name, shape, first, count);
      };
      const ops::WeightRows weight{shape[0], shape[1], rows};
      return models::moved(naming(origin,
                                  [&] {
                                    return models::Linear{{}, {}, ops::quantize(weight, 8)};
                                  }),
                           arena);
    };
    const Weights model = weights.scope("model");
    stack_.config.tied_head = has_tied_head(config, weights);
    embedding_ = table(embedding_name(stack_.config.tied_head, weights));
    for (int64_t i = 0; i < config.num_layers; ++i) {
      const Weights layer = model.scope(concat("layers.", i));
      models::DecoderLayer& loaded =
          stack_.layers.emplace_back(models::load_decoder_layer(layer, config, i));
      for (models::Linear* linear : loaded.linears()) *linear = stored(*linear);
    }
    stack_.final_norm = models::load_norm_weight(model, "norm", config.hidden_size, config);
    head_ = stack_.config.tied_head ? embedding_ : table(kHeadName);
    if (stack_.config.tied_head) weights.skip(kHeadName);
    stack_.frequencies =
        ops::rotary_frequencies(config.rope, config.head_dim).to(options_.device());
    if (config.local_rope) {
      stack_.local_frequencies =
          ops::rotary_frequencies(*config.local_rope, config.head_dim).to(options_.device());
    }
    skip_neutral_tensors(weights);
    refuse_leftovers(weights);
    if (options_.device().is_cuda())
      cuda_graph_.emplace(stack_);
    else
      cpu_team_.emplace(stack_);
  }

  const DecoderConfig& config() const override { return stack_.config; }
  c10::TensorOptions options() const override { return options_; }
  const std::string& fingerprint() const override { return fingerprint_; }

  at::Tensor embed(const at::Tensor& tokens) const override {
    const auto dtype = c10::typeMetaToScalarType(options_.dtype());
    const at::Tensor rows = embedding_.quantized.defined()
                                ? ops::dequantize_rows(embedding_.quantized, tokens, dtype)
                                : embedding_.weight.index_select(0, tokens);
    return stack_.config.embedding_scale == 1.0 ? rows : rows * stack_.config.embedding_scale;
  }

  at::Tensor embed_spliced(const at::Tensor& ids,
                           const at::Tensor& embeddings,
                           const at::Tensor& source_indices) const override {
    const bool as_stored = !embedding_.quantized.defined() && stack_.config.embedding_scale == 1.0;
    if (!as_stored) return Decoder::embed_spliced(ids, embeddings, source_indices);
    // Rows of the embedding table followed by `embeddings`; ids are indices of the table.
    const int64_t first = embedding_.weight.size(0);
    const at::Tensor rows =
        at::cat({ids, at::arange(first, first + embeddings.size(0), ids.options())});
    return ops::gather_rows(embedding_.weight, embeddings, rows.index_select(0, source_indices));
  }

  at::Tensor forward(const DecoderInput& input,
                     KvCache& cache,
                     const Adapter* adapter,
                     const LayerObserver* observer) const override {
    check_input(input, stack_.config.hidden_size);
    PassThreads threads;
    const at::Tensor hidden = pass_over(input, cache, adapter, observer, threads);
    threads.adapt();
    return hidden;
  }

  at::Tensor logits(const at::Tensor& hidden) const override { return head_(hidden); }

  int64_t num_parameters() const override {
    return total([](const auto& t) { return t.numel(); });
  }
  int64_t weight_bytes() const override {
    return total([](const auto& t) { return static_cast<int64_t>(t.nbytes()); });
  }

 private:
  at::Tensor pass_over(const DecoderInput& input,
                       KvCache& cache,
                       const Adapter* adapter,
                       const LayerObserver* observer,
                       PassThreads& threads) const {
    if (adapter != nullptr) models::check_adapter(*adapter, input, stack_.config);
    if (adapter == nullptr && observer == nullptr && is_step(input, cache)) {
      return outputs_of(cuda_graph_ ? cuda_graph_->run(input, cache) : cpu_team_->run(input, cache),
                        input);
    }
    return models::run_op_by_op(stack_, input, cache, adapter, observer, threads);
  }

  // Calls work(). Its kInvalidArgument becomes kBadWeights with the origin of the weights.
  template <typename Work>
  static models::Linear naming(const std::string& origin, const Work& work) {
    try {
      return work();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInvalidArgument) throw;
      fail(ErrorKind::kBadWeights, origin, ": ", error.what());
    }
  }

  models::Linear quantized(const models::Linear& linear,
                           int64_t bits,
                           const std::string& origin) const {
    models::Linear result = naming(origin, [&] { return models::quantized(linear, bits); });
    if (result.bias.defined()) result.bias = result.bias.to(options_.dtype());
    return result;
  }

  static at::Tensor outputs_of(const at::Tensor& hidden, const DecoderInput& input) {
    return input.output_indices.defined() ? hidden.index_select(0, input.output_indices) : hidden;
  }

  // Whether the pass is a decode step, one token of each of several sequences, that an executor
  // runs as a whole.
  bool is_step(const DecoderInput& input, const KvCache& cache) const {
    if (c10::GradMode::is_enabled() || input.visible_cache_len.defined() ||
        input.embeddings.size(0) != std::ssize(input.cache_sequences))
      return false;
    if (cuda_graph_)
      return cuda_graph_->applies(input.embeddings) && are_distinct(input) &&
             !has_ragged(input, cache);
    // Layers with a window refuse ragged memories.
    return cpu_team_->applies(input.embeddings) && are_distinct(input) &&
           (stack_.config.window == 0 || !has_ragged(input, cache));
  }

  static bool has_ragged(const DecoderInput& input, const KvCache& cache) {
    return std::any_of(input.cache_sequences.begin(),
                       input.cache_sequences.end(),
                       [&](int64_t sequence) { return !cache.view(0, sequence).ragged.empty(); });
  }

  static bool are_distinct(const DecoderInput& input) {
    const std::vector<int64_t>& sequences = input.cache_sequences;
    return std::set<int64_t>(sequences.begin(), sequences.end()).size() == sequences.size();
  }

  template <typename Measure>
  int64_t total(const Measure& measure) const {
    int64_t sum = measure(embedding_) + measure(stack_.final_norm);
    if (!stack_.config.tied_head) sum += measure(head_);
    for (const models::DecoderLayer& layer : stack_.layers) {
      for (const at::Tensor& norm : layer.norms())
        if (norm.defined()) sum += measure(norm);
      for (const models::Linear* linear : layer.linears()) sum += measure(*linear);
    }
    return sum;
  }

  c10::TensorOptions options_;
  std::string fingerprint_;
  models::Linear embedding_;  // [vocab, hidden], whose rows are looked up
  models::Linear head_;       // [vocab, hidden]
  models::LayerStack stack_;
  std::optional<models::CpuTeam> cpu_team_;      // on a CPU
  std::optional<models::CudaGraph> cuda_graph_;  // on a GPU
};

}  // namespace

std::unique_ptr<Decoder> load_transformer(const DecoderConfig& config,
                                          const Weights& weights,
                                          c10::TensorOptions options,
                                          WeightFormat format) {
  const int64_t bits = format == WeightFormat::kInt8 ? 8 : format == WeightFormat::kInt4 ? 4 : 0;
  for (const int64_t width :
       {config.hidden_size, config.ffn_size, config.num_heads * config.head_dim}) {
    PRECIS_CHECK(bits == 0 || ops::can_be_quantized(width),
                 kUnsupported,
                 weights.source().origin(),
                 ": its products are over ",
                 width,
                 " numbers; weights in int8 or int4 need multiples of 32");
  }
  return std::make_unique<Transformer>(config, weights, options, bits);
}

c10::TensorOptions stored_options(c10::TensorOptions options, WeightFormat format) {
  const bool narrow = format != WeightFormat::kDtype && options.dtype() == at::kBFloat16;
  return narrow ? options.dtype(at::kFloat) : options;
}

}  // namespace precis
