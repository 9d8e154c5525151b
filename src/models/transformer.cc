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
#include "models/layer.h"
#include "models/linear.h"
#include "models/neutral_tensors.h"
#include "models/tied_head.h"
#include "models/weight_arena.h"
#include "ops/gather_rows.h"
#include "ops/quantized_weight.h"
#include "ops/rms_norm.h"

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
               " rows, but positions [",
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
  const at::Tensor& wanted = input.output_indices;
  PRECIS_CHECK(!wanted.defined() || (wanted.scalar_type() == at::kLong && wanted.dim() == 1),
               kInvalidArgument,
               "decoder: output_indices are no list of rows");
  // Of those on a GPU, asking would wait for it.
  PRECIS_CHECK(!wanted.defined() || !wanted.is_cpu() || wanted.numel() == 0 ||
                   (wanted.min().item<int64_t>() >= 0 &&
                    wanted.max().item<int64_t>() < input.embeddings.size(0)),
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
      : config_(config), options_(options), fingerprint_(weights.source().fingerprint()) {
    models::WeightArena arena;
    const std::string& origin = weights.source().origin();
    const auto stored = [&](const models::Linear& linear) {
      return models::moved(bits > 0 ? quantized(linear, bits, origin) : linear, arena);
    };
    // Four bits are too few for what is looked up, and for what every token goes through at last.
    // The largest matrix by far: where it is quantised, it is read a part at a time.
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
    config_.tied_head = has_tied_head(config, weights);
    embedding_ = table(embedding_name(config_.tied_head, weights));
    for (int64_t i = 0; i < config.num_layers; ++i) {
      const Weights layer = model.scope(concat("layers.", i));
      models::DecoderLayer& loaded =
          layers_.emplace_back(models::load_decoder_layer(layer, config, i));
      for (models::Linear* linear : {&loaded.qkv, &loaded.output, &loaded.gate_up, &loaded.down})
        *linear = stored(*linear);
    }
    final_norm_ = models::load_norm_weight(model, "norm", config.hidden_size, config);
    head_ = config_.tied_head ? embedding_ : table(kHeadName);
    if (config_.tied_head) weights.skip(kHeadName);
    frequencies_ = ops::rotary_frequencies(config.rope, config.head_dim).to(options_.device());
    if (config.local_rope) {
      local_frequencies_ =
          ops::rotary_frequencies(*config.local_rope, config.head_dim).to(options_.device());
    }
    skip_neutral_tensors(weights);
    refuse_leftovers(weights);
    step_model_ = models::step_model(layers_, final_norm_, config_);
    if (options_.device().is_cuda()) {
      paged_steps_.emplace(std::move(step_model_), frequencies_, local_frequencies_);
      step_model_ = {};
    }
  }

  const DecoderConfig& config() const override { return config_; }
  c10::TensorOptions options() const override { return options_; }
  const std::string& fingerprint() const override { return fingerprint_; }

  at::Tensor embed(const at::Tensor& tokens) const override {
    const auto dtype = c10::typeMetaToScalarType(options_.dtype());
    const at::Tensor rows = embedding_.quantized.defined()
                                ? ops::dequantize_rows(embedding_.quantized, tokens, dtype)
                                : embedding_.weight.index_select(0, tokens);
    return config_.embedding_scale == 1.0 ? rows : rows * config_.embedding_scale;
  }

  at::Tensor embed_spliced(const at::Tensor& ids, const at::Tensor& rows) const override {
    const bool as_stored = !embedding_.quantized.defined() && config_.embedding_scale == 1.0;
    return as_stored ? ops::gather_rows(embedding_.weight, rows, ids)
                     : Decoder::embed_spliced(ids, rows);
  }

  at::Tensor forward(const DecoderInput& input,
                     KvCache& cache,
                     const Adapter* adapter,
                     const LayerObserver* observer) const override {
    check_input(input, config_.hidden_size);
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
    at::Tensor adapted;
    if (adapter != nullptr) {
      models::check_adapter(*adapter, input, config_);
      adapted = models::adapted_rows(input);
    }
    const bool step = adapter == nullptr && observer == nullptr && is_step(input, cache);
    if (step && paged_steps_)
      return wanted_of(models::decode_step(*paged_steps_, input, cache), input);
    const Tables tables = rotary_tables(input);
    const std::optional<ops::PackedSequences> packed = packed_sequences(input, cache);
    const models::DecoderPass pass{config_,
                                   input,
                                   cache,
                                   tables.global,
                                   tables.local,
                                   adapter,
                                   packed ? &*packed : nullptr,
                                   adapted,
                                   observer};
    if (step) return wanted_of(models::decode_step(step_model_, pass), input);
    at::Tensor x = input.embeddings;
    for (const models::DecoderLayer& layer : layers_) {
      const bool last = layer.index + 1 == std::ssize(layers_);
      x = layer.forward(x, pass, last ? input.output_indices : at::Tensor());
      threads.adapt();
    }
    return ops::rms_norm(x, final_norm_, config_.rms_norm_epsilon);
  }

  // work(), whose complaints about numbers name where they come from.
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

  static at::Tensor wanted_of(const at::Tensor& hidden, const DecoderInput& input) {
    return input.output_indices.defined() ? hidden.index_select(0, input.output_indices) : hidden;
  }

  struct Tables {
    ops::RotaryTable global;
    ops::RotaryTable local;
  };

  Tables rotary_tables(const DecoderInput& input) const {
    const auto table = [&](const at::Tensor& frequencies, const RopeConfig& rope) {
      return ops::rotary_table(frequencies, input.positions, rope.attention_factor);
    };
    const ops::RotaryTable global = table(frequencies_, config_.rope);
    return {global, config_.local_rope ? table(local_frequencies_, *config_.local_rope) : global};
  }

  // Nothing where attention is not one call for all sequences.
  static std::optional<ops::PackedSequences> packed_sequences(const DecoderInput& input,
                                                              const KvCache& cache) {
    const bool applies = !input.visible_cache_len.defined() &&
                         ops::attention_is_packed(input.embeddings) && are_distinct(input);
    if (!applies) return std::nullopt;
    std::vector<int64_t> keys{0};
    for (size_t i = 0; i < input.cache_sequences.size(); ++i)
      keys.push_back(keys.back() + cache.length(input.cache_sequences[i]) +
                     input.cu_seqlens[i + 1] - input.cu_seqlens[i]);
    return ops::packed_sequences(input.cu_seqlens, keys, input.embeddings.device());
  }

  // Whether the pass is one row each of different sequences, as decode_step() wants it.
  bool is_step(const DecoderInput& input, const KvCache& cache) const {
    if (c10::GradMode::is_enabled() || input.visible_cache_len.defined() ||
        input.embeddings.size(0) != std::ssize(input.cache_sequences))
      return false;
    const bool applies =
        paged_steps_ ? cache.layout() == KvLayout::kPaged && paged_steps_->apply(input.embeddings)
                     : cache.layout() == KvLayout::kContiguous &&
                           ops::decode_step_applies(step_model_, input.embeddings);
    return applies && are_distinct(input);
  }

  static bool are_distinct(const DecoderInput& input) {
    const std::vector<int64_t>& sequences = input.cache_sequences;
    return std::set<int64_t>(sequences.begin(), sequences.end()).size() == sequences.size();
  }

  template <typename Measure>
  int64_t total(const Measure& measure) const {
    int64_t sum = measure(embedding_) + measure(final_norm_);
    if (!config_.tied_head) sum += measure(head_);
    for (const models::DecoderLayer& layer : layers_) {
      for (const at::Tensor& t : {layer.attention_norm,
                                  layer.attention_out_norm,
                                  layer.mlp_norm,
                                  layer.mlp_out_norm,
                                  layer.q_norm,
                                  layer.k_norm}) {
        if (t.defined()) sum += measure(t);
      }
      for (const models::Linear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down})
        sum += measure(*linear);
    }
    return sum;
  }

  DecoderConfig config_;
  c10::TensorOptions options_;
  std::string fingerprint_;
  models::Linear embedding_;  // [vocab, hidden], its rows looked up
  models::Linear head_;       // [vocab, hidden]
  at::Tensor final_norm_;
  at::Tensor frequencies_;
  at::Tensor local_frequencies_;
  std::vector<models::DecoderLayer> layers_;
  ops::StepModel step_model_;                      // the same weights; empty on a GPU
  std::optional<models::PagedSteps> paged_steps_;  // there
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
