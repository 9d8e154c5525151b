// SPDX-License-Identifier: Apache-2.0
#include "compressors/icae/import_icae.h"

#include <ATen/ATen.h>

#include <set>
#include <string>

#include "base/check.h"
#include "compressors/published_weights.h"

namespace precis {
namespace {

constexpr const char* kEncoder = "icae.base_model.model";  // as PEFT wraps the model
constexpr const char* kMemoryTokens = "memory_token_embed.weight";
constexpr int64_t kNumMarks = 3;  // embeddings after those of the memory tokens: AE, LM, FT

// In both generations: 512 tokens to 128 slots.
constexpr int64_t kTokensPerSlot = 4;

Weights open_source(const std::filesystem::path& source, const Decoder& decoder) {
  return Weights(published_weights(source), decoder.options().dtype(at::kFloat));
}

// Number of rows of a matrix, from which sizes are inferred.
int64_t rows_of(const Weights& weights, const std::string& name) {
  const std::string& origin = weights.source().origin();
  PRECIS_CHECK(weights.has(name), kBadWeights, origin, ": tensor ", name, " is missing");
  const auto& shape = weights.source().shape(name);
  PRECIS_CHECK(shape.size() == 2,
               kBadWeights,
               origin,
               ": tensor ",
               name,
               " is ",
               at::IntArrayRef(shape),
               ", expected rows and columns");
  return shape[0];
}

std::string layer_name(int64_t index) { return concat(kEncoder, ".model.layers.", index); }

LoraWeights take_low_rank(const Weights& projection, int64_t rank, int64_t out, int64_t in) {
  LoraWeights change;
  change.down = projection.take("lora_A.default.weight", {rank, in});
  change.up = projection.take("lora_B.default.weight", {out, rank});
  return change;
}

Adapter take_adapter(const Weights& weights, int64_t rank, const DecoderConfig& model) {
  Adapter adapter;
  for (int64_t i = 0; i < model.num_layers; ++i) {
    const Weights attention = weights.scope(layer_name(i)).scope("self_attn");
    AdapterLayer layer;
    layer.query = take_low_rank(
        attention.scope("q_proj"), rank, model.num_heads * model.head_dim, model.hidden_size);
    layer.value = take_low_rank(
        attention.scope("v_proj"), rank, model.num_kv_heads * model.head_dim, model.hidden_size);
    adapter.layers.push_back(std::move(layer));
  }
  return adapter;
}

// Tensor names of a frozen Llama or Mistral below "<model>.", as old and new versions of PEFT write
// them. Full names rather than a prefix, so that no trained tensor is skipped.
std::set<std::string> frozen_names(const DecoderConfig& model) {
  std::set<std::string> names{"lm_head.weight",
                              "model.embed_tokens.weight",
                              "model.norm.weight",
                              "model.rotary_emb.inv_freq"};
  for (int64_t i = 0; i < model.num_layers; ++i) {
    const std::string layer = concat("model.layers.", i, ".");
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      names.insert(concat(layer, norm, ".weight"));
    names.insert(layer + "self_attn.rotary_emb.inv_freq");
    for (const char* linear : {"self_attn.q_proj",
                               "self_attn.k_proj",
                               "self_attn.v_proj",
                               "self_attn.o_proj",
                               "mlp.gate_proj",
                               "mlp.up_proj",
                               "mlp.down_proj"}) {
      for (const char* leaf : {".weight", ".bias", ".base_layer.weight", ".base_layer.bias"})
        names.insert(concat(layer, linear, leaf));
    }
  }
  return names;
}

// Skips the frozen model, which a training run saves, too, with the second copy that decodes.
void skip_frozen(const Weights& weights, const DecoderConfig& model) {
  const std::set<std::string> names = frozen_names(model);
  for (const char* copy : {kEncoder, "decoder"}) {
    for (const std::string& name : names) weights.skip(concat(copy, ".", name));
  }
}

IcaeGeneration generation_of(const DecoderConfig& model) {
  if (model.architecture == "llama") return IcaeGeneration::kLlama;
  if (model.architecture == "mistral") return IcaeGeneration::kMistral;
  return IcaeGeneration::kNone;
}

}  // namespace

std::unique_ptr<Compressor> import_icae(const std::filesystem::path& source,
                                        const Decoder& decoder,
                                        const IcaeImportOptions& options) {
  const DecoderConfig& model = decoder.config();
  const Weights weights = open_source(source, decoder);
  IcaeConfig config;
  config.slots = rows_of(weights, kMemoryTokens) - kNumMarks;
  PRECIS_CHECK(config.slots >= 1,
               kBadWeights,
               weights.source().origin(),
               ": tensor ",
               kMemoryTokens,
               " has ",
               config.slots + kNumMarks,
               " rows, expected memory tokens and ",
               kNumMarks,
               " more");
  config.rank = rows_of(weights, layer_name(0) + ".self_attn.q_proj.lora_A.default.weight");
  config.max_segment = options.max_segment.value_or(config.slots * kTokensPerSlot);
  config.alpha = options.alpha;
  config.continuation_mark = options.continuation_mark;
  const IcaeGeneration generation = options.generation.value_or(generation_of(model));
  config.before_text = options.before_text.value_or(icae_before_text(generation));
  config.instruct = icae_template(generation);
  IcaeWeights trained;
  trained.memory_embeddings =
      weights.take(kMemoryTokens, {config.slots + kNumMarks, model.hidden_size});
  trained.adapter = take_adapter(weights, config.rank, model);
  skip_frozen(weights, model);
  weights.check_all_taken();
  return make_icae(config, std::move(trained), decoder);
}

}  // namespace precis
