// SPDX-License-Identifier: Apache-2.0
#include "compressors/ic_former/import_ic_former.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "compressors/ic_former/ic_former_config.h"
#include "compressors/published_weights.h"
#include "io/json_file.h"

namespace precis {
namespace {

// config.json of a published folder.
struct PublishedConfig {
  std::string origin;
  nlohmann::json json;

  // Throws if the key is present with another value.
  void demand(const char* key, const nlohmann::json& wanted, ErrorKind kind) const {
    const nlohmann::json value = json.value(key, nlohmann::json());
    if (value.is_null() || value == wanted) return;
    fail(kind, origin, ": ", key, " is ", value.dump(), ", expected ", wanted.dump());
  }
  void demand_present(const char* key, const nlohmann::json& wanted, ErrorKind kind) const {
    PRECIS_CHECK(!json.value(key, nlohmann::json()).is_null(),
                 kBadWeights,
                 origin,
                 ": ",
                 key,
                 " is missing");
    demand(key, wanted, kind);
  }
};

PublishedConfig read_published(const std::filesystem::path& file) {
  PublishedConfig published{file.string(), read_json(file)};
  PRECIS_CHECK(published.json.is_object(), kBadWeights, published.origin, ": not a JSON object");
  return published;
}

// Refuses settings that IcFormerConfig cannot express.
void check_variant(const PublishedConfig& published, const Decoder& decoder) {
  const auto kind = ErrorKind::kUnsupported;
  published.demand_present("model_type", "icformer", ErrorKind::kBadWeights);
  published.demand_present("hidden_size", decoder.config().hidden_size, ErrorKind::kBadWeights);
  published.demand("context_hidden_size", decoder.config().hidden_size, ErrorKind::kBadWeights);
  published.demand("hidden_act", "silu", kind);
  published.demand("attention_bias", false, kind);
  published.demand("cross_attention_frequency", 1, kind);
  published.demand("rope_scaling", nullptr, kind);
  published.demand("causal_attention", true, kind);
  published.demand("causal_attentin", true, kind);  // spelt so by the class that writes it
}

IcFormerConfig config_of(const PublishedConfig& published, const Decoder& decoder) {
  IcFormerConfig config;
  std::optional<double> epsilon, rope_base;
  read_settings(published.json,
                published.origin,
                {{"num_query_tokens", &config.slots},
                 {"num_hidden_layers", &config.num_layers},
                 {"num_attention_heads", &config.num_heads},
                 {"num_key_value_heads", &config.num_kv_heads},
                 {"intermediate_size", &config.ffn_size},
                 {"rms_norm_eps", &epsilon},
                 {"rope_theta", &rope_base}});
  if (config.num_kv_heads == config.num_heads) config.num_kv_heads.reset();
  config.rms_norm_epsilon = epsilon.value_or(config.rms_norm_epsilon);
  config.rope_base = rope_base.value_or(config.rope_base);
  check_ic_former_config(config, decoder, ErrorKind::kBadWeights, published.origin);
  return config;
}

}  // namespace

std::unique_ptr<Compressor> import_ic_former(const std::filesystem::path& folder,
                                             const Decoder& decoder,
                                             const IcFormerImportOptions& options) {
  const PublishedConfig published = read_published(folder / "config.json");
  check_variant(published, decoder);
  IcFormerConfig config = config_of(published, decoder);
  config.max_segment = options.max_segment;
  config.instruct = options.instruct;
  const auto tensor_options = parameter_options(decoder);
  const int64_t hidden = decoder.config().hidden_size;
  const Weights vectors(published_weights(folder / "param.safetensors"), tensor_options);
  const Weights model(published_weights(folder), tensor_options);
  IcFormerWeights weights;
  weights.digests = vectors.take("digest_embeddings", {1, config.slots, hidden}).squeeze(0);
  weights.autoencode = vectors.take("AE", {1, 1, hidden}).flatten();
  if (vectors.has("FT")) weights.instruct = vectors.take("FT", {1, 1, hidden}).flatten();
  weights.net =
      ic_former::load_digest_net(model.scope("encoder"), digest_net_size(config, decoder));
  vectors.check_all_taken();
  model.check_all_taken();
  return make_ic_former(config, std::move(weights), decoder);
}

}  // namespace precis
