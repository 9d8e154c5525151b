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
class PublishedConfig {
 public:
  explicit PublishedConfig(const std::filesystem::path& file)
      : origin_(file.string()), json_(read_json(file)) {
    PRECIS_CHECK(json_.is_object(), kBadWeights, origin_, ": not a JSON object");
  }

  const std::string& origin() const { return origin_; }

  int64_t integer(const char* key) const {
    const nlohmann::json& value = at(key);
    PRECIS_CHECK(value.is_number_integer(),
                 kBadWeights,
                 origin_,
                 ": ",
                 key,
                 " is ",
                 value.dump(),
                 ", expected an integer");
    return value.get<int64_t>();
  }
  int64_t integer(const char* key, int64_t otherwise) const {
    return has(key) ? integer(key) : otherwise;
  }
  double number(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    PRECIS_CHECK(at(key).is_number(),
                 kBadWeights,
                 origin_,
                 ": ",
                 key,
                 " is ",
                 at(key).dump(),
                 ", expected a number");
    return at(key).get<double>();
  }

  // Throws if the key is present with another value.
  void demand(const char* key, const nlohmann::json& wanted, ErrorKind kind) const {
    if (!has(key) || at(key) == wanted) return;
    fail(kind, origin_, ": ", key, " is ", at(key).dump(), ", expected ", wanted.dump());
  }
  void demand_present(const char* key, const nlohmann::json& wanted, ErrorKind kind) const {
    at(key);
    demand(key, wanted, kind);
  }

 private:
  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  const nlohmann::json& at(const char* key) const {
    PRECIS_CHECK(has(key), kBadWeights, origin_, ": ", key, " is missing");
    return json_.at(key);
  }

  std::string origin_;
  nlohmann::json json_;
};

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
  config.slots = published.integer("num_query_tokens");
  config.num_layers = published.integer("num_hidden_layers");
  config.num_heads = published.integer("num_attention_heads");
  const int64_t kv_heads = published.integer("num_key_value_heads", config.num_heads);
  if (kv_heads != config.num_heads) config.num_kv_heads = kv_heads;
  config.ffn_size = published.integer("intermediate_size");
  config.rms_norm_epsilon = published.number("rms_norm_eps", config.rms_norm_epsilon);
  config.rope_base = published.number("rope_theta", config.rope_base);
  check_ic_former_config(config, decoder, ErrorKind::kBadWeights, published.origin());
  return config;
}

}  // namespace

std::unique_ptr<Compressor> import_ic_former(const std::filesystem::path& folder,
                                             const Decoder& decoder,
                                             const IcFormerImportOptions& options) {
  const PublishedConfig published(folder / "config.json");
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
