// SPDX-License-Identifier: Apache-2.0
#include "models/transformer.h"

#include <ATen/ATen.h>

#include <vector>

#include "base/check.h"
#include "nn/adapter.h"
#include "nn/decoder_layer.h"
#include "ops/linear.h"
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
  const auto& starts = input.sequence_starts;
  PRECIS_CHECK(starts.size() == input.cache_sequences.size() + 1 && starts.size() > 1 &&
                   starts.front() == 0 && starts.back() == input.embeddings.size(0),
               kInvalidArgument,
               "decoder: sequence starts do not cover the rows");
}

class Transformer final : public Decoder {
 public:
  Transformer(const DecoderConfig& config, const Weights& weights)
      : config_(config), options_(weights.options()), fingerprint_(weights.source().fingerprint()) {
    const Weights model = weights.scope("model");
    const std::vector<int64_t> table{config.vocab_size, config.hidden_size};
    embedding_ = model.take("embed_tokens.weight", table);
    for (int64_t i = 0; i < config.num_layers; ++i) {
      const Weights layer = model.scope(concat("layers.", i));
      layers_.push_back(nn::load_decoder_layer(layer, config, i));
      layer.skip("self_attn.rotary_emb.inv_freq");  // older checkpoints store what the
                                                    // configuration implies
    }
    final_norm_ = nn::load_gain(model, "norm", config.hidden_size, config);
    head_ = config.tied_head ? embedding_ : weights.take("lm_head.weight", table);
    if (config.tied_head) weights.skip("lm_head.weight");
    frequencies_ = ops::rotary_frequencies(config.rope, config.head_dim).to(options_.device());
    if (config.local_rope) {
      local_frequencies_ =
          ops::rotary_frequencies(*config.local_rope, config.head_dim).to(options_.device());
    }
    refuse_leftovers(weights);
  }

  const DecoderConfig& config() const override { return config_; }
  c10::TensorOptions options() const override { return options_; }
  const std::string& fingerprint() const override { return fingerprint_; }

  at::Tensor embed(const at::Tensor& tokens) const override {
    const at::Tensor rows = embedding_.index_select(0, tokens);
    return config_.embedding_scale == 1.0 ? rows : rows * config_.embedding_scale;
  }

  at::Tensor forward(const DecoderInput& input,
                     KvCache& cache,
                     const Adapter* adapter) const override {
    check_input(input, config_.hidden_size);
    if (adapter != nullptr) nn::check_adapter(*adapter, input, config_);
    const ops::RotaryTable table =
        ops::rotary_table(frequencies_, input.positions, config_.rope.attention_factor);
    const ops::RotaryTable local_table =
        config_.local_rope
            ? ops::rotary_table(
                  local_frequencies_, input.positions, config_.local_rope->attention_factor)
            : table;
    const nn::DecoderPass pass{config_, input, cache, table, local_table, adapter};
    at::Tensor x = input.embeddings;
    for (const nn::DecoderLayer& layer : layers_) x = layer.forward(x, pass);
    return ops::rms_norm(x, final_norm_, config_.rms_norm_epsilon);
  }

  at::Tensor logits(const at::Tensor& hidden) const override { return ops::linear(hidden, head_); }

  int64_t num_parameters() const override {
    return total([](const at::Tensor& t) { return t.numel(); });
  }
  int64_t weight_bytes() const override {
    return total([](const at::Tensor& t) { return static_cast<int64_t>(t.nbytes()); });
  }

 private:
  static void refuse_leftovers(const Weights& weights) {
    const std::vector<std::string> unread = weights.unread();
    if (unread.empty()) return;
    std::string names;
    for (size_t i = 0; i < unread.size() && i < 8; ++i) names += (i ? ", " : "") + unread[i];
    fail(ErrorKind::kBadWeights,
         weights.source().origin(),
         ": ",
         unread.size(),
         " tensors that the architecture has no use for: ",
         names,
         unread.size() > 8 ? ", ..." : "");
  }

  template <typename Measure>
  int64_t total(const Measure& measure) const {
    int64_t sum = 0;
    const auto add = [&](const at::Tensor& t) { sum += t.defined() ? measure(t) : 0; };
    add(embedding_);
    if (!config_.tied_head) add(head_);
    add(final_norm_);
    for (const nn::DecoderLayer& layer : layers_) {
      for (const at::Tensor& t : {layer.attention_norm,
                                  layer.attention_out_norm,
                                  layer.mlp_norm,
                                  layer.mlp_out_norm,
                                  layer.q_norm,
                                  layer.k_norm}) {
        add(t);
      }
      for (const nn::Linear* linear : {&layer.qkv, &layer.output, &layer.gate_up, &layer.down}) {
        add(linear->weight);
        add(linear->bias);
      }
    }
    return sum;
  }

  DecoderConfig config_;
  c10::TensorOptions options_;
  std::string fingerprint_;
  at::Tensor embedding_;  // [vocab, hidden]
  at::Tensor head_;       // [vocab, hidden]
  at::Tensor final_norm_;
  at::Tensor frequencies_;
  at::Tensor local_frequencies_;
  std::vector<nn::DecoderLayer> layers_;
};

}  // namespace

std::unique_ptr<Decoder> load_transformer(const DecoderConfig& config, const Weights& weights) {
  return std::make_unique<Transformer>(config, weights);
}

}  // namespace precis
