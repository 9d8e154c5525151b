// SPDX-License-Identifier: Apache-2.0
#include "compressors/gisting/gisting_weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "base/check.h"
#include "compressors/gisting/gisting_config.h"
#include "compressors/parameters.h"

namespace precis {
namespace {

using Form = GistingConfig::Form;

// An adapter with layers but without tensors.
Adapter empty_adapter(const GistingConfig& config, const Decoder& decoder) {
  const bool none = config.form == Form::kTuned || config.rank == 0;
  return {std::vector<AdapterLayer>(none ? 0 : decoder.config().num_layers)};
}

void check_shape(const at::Tensor& tensor, at::IntArrayRef expected, const std::string& name) {
  PRECIS_CHECK(tensor.defined() && tensor.sizes() == expected,
               kInvalidArgument,
               "gisting: ",
               name,
               " is ",
               tensor.defined() ? tensor.sizes() : at::IntArrayRef(),
               ", expected ",
               expected);
}

}  // namespace

std::vector<AdaptedProjection> adapted_projections(Adapter& adapter, const DecoderConfig& config) {
  const int64_t kv_size = config.num_kv_heads * config.head_dim;
  std::vector<AdaptedProjection> all;
  for (size_t i = 0; i < adapter.layers.size(); ++i) {
    AdapterLayer& layer = adapter.layers[i];
    if (i + 1 < adapter.layers.size()) {
      all.push_back(
          {concat("layers.", i, ".q_proj"), layer.query, config.num_heads * config.head_dim});
    }
    all.push_back({concat("layers.", i, ".k_proj"), layer.key, kv_size});
    all.push_back({concat("layers.", i, ".v_proj"), layer.value, kv_size});
  }
  return all;
}

void check_gisting_weights(GistingWeights& weights,
                           const GistingConfig& config,
                           const Decoder& decoder) {
  const int64_t hidden = decoder.config().hidden_size;
  if (config.form == Form::kFrozen)
    check_shape(weights.embeddings, {config.num_gists, hidden}, "gist_embeddings");
  const size_t expected = empty_adapter(config, decoder).layers.size();
  PRECIS_CHECK(weights.adapter.layers.size() == expected,
               kInvalidArgument,
               "gisting: the LoRA has ",
               weights.adapter.layers.size(),
               " layers, expected ",
               expected);
  for (const AdaptedProjection& one : adapted_projections(weights.adapter, decoder.config())) {
    check_shape(one.change.down, {config.rank, hidden}, one.name + ".lora_A.weight");
    check_shape(one.change.up, {one.outputs, config.rank}, one.name + ".lora_B.weight");
  }
}

std::unique_ptr<Compressor> load_gisting(const CompressorFiles& files, const Decoder& decoder) {
  check_base(files, decoder);
  const GistingConfig config = read_gisting_config(files, decoder);
  const Weights stored = files.weights(parameter_options(decoder));
  const int64_t hidden = decoder.config().hidden_size;
  GistingWeights weights{{}, empty_adapter(config, decoder)};
  if (config.form == Form::kFrozen)
    weights.embeddings = stored.take("gist_embeddings", {config.num_gists, hidden});
  for (const AdaptedProjection& one : adapted_projections(weights.adapter, decoder.config())) {
    one.change.down = stored.take(one.name + ".lora_A.weight", {config.rank, hidden});
    one.change.up = stored.take(one.name + ".lora_B.weight", {one.outputs, config.rank});
  }
  stored.check_all_taken();
  return make_gisting(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> create_gisting(const GistingConfig& config,
                                           const Decoder& decoder,
                                           uint64_t seed) {
  check_gisting_config(config, decoder, ErrorKind::kInvalidArgument, "gisting");
  GistingWeights weights{{}, empty_adapter(config, decoder)};
  if (config.form == Form::kTuned) return make_gisting(config, std::move(weights), decoder);
  const auto options = parameter_options(decoder);
  const int64_t hidden = decoder.config().hidden_size;
  weights.embeddings = config.spread_positions
                           ? at::zeros({1, hidden}, options)
                           : embedding_statistics(decoder).mean.repeat({config.num_gists, 1});
  const double bound = 1.0 / std::sqrt(static_cast<double>(hidden));
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const AdaptedProjection& one : adapted_projections(weights.adapter, decoder.config())) {
    at::Tensor drawn = at::empty({config.rank, hidden}, at::kFloat);
    one.change.down = drawn.uniform_(-bound, bound, generator).to(options);
    one.change.up = at::zeros({one.outputs, config.rank}, options);
  }
  return make_gisting(config, std::move(weights), decoder);
}

}  // namespace precis
