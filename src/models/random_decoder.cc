// SPDX-License-Identifier: Apache-2.0
#include "models/random_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "models/transformer.h"
#include "precis/extend/weights.h"

namespace precis {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

constexpr int64_t kDrawn = (int64_t{1} << 22) - 3;  // prime, so that no width divides it
constexpr double kDeviation = 0.02;

void add_layer(Shapes& shapes, const std::string& layer, const DecoderConfig& config) {
  const int64_t hidden = config.hidden_size, ffn = config.ffn_size;
  const int64_t query = config.num_heads * config.head_dim;
  const int64_t key = config.num_kv_heads * config.head_dim;
  const auto add = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
    shapes[concat(layer, name, ".weight")] = {out, in};
    if (bias) shapes[concat(layer, name, ".bias")] = {out};
  };
  const auto add_norm = [&](const std::string& name, int64_t size) {
    shapes[concat(layer, name, ".weight")] = {size};
  };
  add("self_attn.q_proj", query, hidden, config.qkv_bias);
  add("self_attn.k_proj", key, hidden, config.qkv_bias);
  add("self_attn.v_proj", key, hidden, config.qkv_bias);
  add("self_attn.o_proj", hidden, query, config.output_bias);
  add("mlp.gate_proj", ffn, hidden, config.mlp_bias);
  add("mlp.up_proj", ffn, hidden, config.mlp_bias);
  add("mlp.down_proj", hidden, ffn, config.mlp_bias);
  add_norm("input_layernorm", hidden);
  add_norm("post_attention_layernorm", hidden);
  if (config.sandwich_norms) {
    add_norm("pre_feedforward_layernorm", hidden);
    add_norm("post_feedforward_layernorm", hidden);
  }
  if (config.qk_norm) {
    add_norm("self_attn.q_norm", config.head_dim);
    add_norm("self_attn.k_norm", config.head_dim);
  }
}

// Names and shapes of the tensors that load_transformer() reads.
Shapes tensor_shapes(const DecoderConfig& config) {
  Shapes shapes{{"model.embed_tokens.weight", {config.vocab_size, config.hidden_size}},
                {"model.norm.weight", {config.hidden_size}}};
  if (!config.tied_head) shapes["lm_head.weight"] = {config.vocab_size, config.hidden_size};
  for (int64_t i = 0; i < config.num_layers; ++i)
    add_layer(shapes, concat("model.layers.", i, "."), config);
  return shapes;
}

class RandomWeights final : public WeightSource {
 public:
  RandomWeights(const DecoderConfig& config, uint64_t seed)
      : origin_(concat("random ", config.architecture)),
        shapes_(tensor_shapes(config)),
        norm_weight_(config.norm_weight_is_offset ? 0.0 : 1.0),
        drawn_(at::randn({kDrawn}, at::make_generator<at::CPUGeneratorImpl>(seed), at::kFloat)
                   .mul_(kDeviation)) {
    Hasher hasher;
    hasher.add("random");
    hasher.add(static_cast<int64_t>(seed));
    for (const auto& [name, shape] : shapes_) {
      hasher.add(name);
      for (const int64_t size : shape) hasher.add(size);
    }
    fingerprint_ = hasher.hex();
  }

  const std::string& origin() const override { return origin_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes_) names.push_back(name);
    return names;
  }
  const std::vector<int64_t>& shape(const std::string& name) const override {
    return shapes_.at(name);
  }
  std::string fingerprint() const override { return fingerprint_; }

  at::Tensor load(const std::string& name, c10::ScalarType dtype) const override {
    return load_rows(name, 0, shapes_.at(name)[0], dtype);
  }

  at::Tensor load_rows(const std::string& name,
                       int64_t first,
                       int64_t count,
                       c10::ScalarType dtype) const override {
    std::vector<int64_t> shape = shapes_.at(name);
    shape[0] = count;
    if (name.ends_with(".bias")) return at::zeros(shape, dtype);
    if (shape.size() == 1) return at::full(shape, norm_weight_, dtype);
    at::Tensor weight = at::empty(shape, dtype);
    const at::Tensor flat = weight.flatten(), drawn = drawn_.to(dtype);
    // Tensors start at different offsets of the drawn values.
    Hasher hasher;
    hasher.add(name);
    const int64_t begin = std::stoll(hasher.hex().substr(0, 8), nullptr, 16) % kDrawn;
    int64_t from = (begin + first * shape[1]) % kDrawn;
    for (int64_t done = 0; done < flat.numel(); from = 0) {
      const int64_t next = std::min(kDrawn - from, flat.numel() - done);
      flat.narrow(0, done, next).copy_(drawn.narrow(0, from, next));
      done += next;
    }
    return weight;
  }

 private:
  std::string origin_;
  Shapes shapes_;
  double norm_weight_;
  at::Tensor drawn_;  // [kDrawn] float32
  std::string fingerprint_;
};

}  // namespace

std::unique_ptr<Decoder> random_decoder(const DecoderConfig& config,
                                        c10::TensorOptions options,
                                        WeightFormat format,
                                        uint64_t seed) {
  const auto source = std::make_shared<const RandomWeights>(config, seed);
  return load_transformer(
      config, Weights(source, stored_options(options, format)), options, format);
}

}  // namespace precis
