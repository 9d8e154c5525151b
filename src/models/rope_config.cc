// SPDX-License-Identifier: Apache-2.0
#include "models/rope_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace precis {
namespace {

using nlohmann::json;

double number(const json& object, const char* key, double otherwise, const std::string& origin) {
  if (!object.contains(key) || object.at(key).is_null()) return otherwise;
  PRECIS_CHECK(object.at(key).is_number(), kBadWeights, origin, ": rope ", key, " is not a number");
  const double value = object.at(key).get<double>();
  PRECIS_CHECK(
      std::isfinite(value) && value > 0, kBadWeights, origin, ": rope ", key, " is ", value);
  return value;
}

// arXiv 2309.00071, 3.4: attention is warmed by 0.1 ln(factor) + 1; DeepSeek's files give a ratio
// of two of those.
double yarn_attention_factor(const json& scaling, double factor, const std::string& origin) {
  const auto mscale = [&](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
  };
  double otherwise = mscale(1.0);
  if (scaling.contains("mscale") && scaling.contains("mscale_all_dim")) {
    otherwise = mscale(number(scaling, "mscale", 1.0, origin)) /
                mscale(number(scaling, "mscale_all_dim", 1.0, origin));
  }
  return number(scaling, "attention_factor", otherwise, origin);
}

void check_divisors(const std::vector<float>& divisors,
                    int64_t head_dim,
                    const std::string& origin) {
  PRECIS_CHECK(std::ssize(divisors) == head_dim / 2,
               kBadWeights,
               origin,
               ": ",
               divisors.size(),
               " divisors of rotary frequencies, expected ",
               head_dim / 2);
  for (const float divisor : divisors) {
    PRECIS_CHECK(std::isfinite(divisor) && divisor > 0,
                 kBadWeights,
                 origin,
                 ": a divisor of rotary frequencies is ",
                 divisor);
  }
}

void read_scaling(RopeConfig& rope,
                  const json& scaling,
                  const DecoderConfig& decoder,
                  const std::string& origin) {
  const std::string type =
      scaling.value("rope_type", scaling.value("type", std::string("default")));
  if (type == "default") return;
  rope.original_context = number(scaling,
                                 "original_max_position_embeddings",
                                 static_cast<double>(decoder.context_length),
                                 origin);
  if (type == "precis_divisors") {
    rope.scaling = RopeConfig::Scaling::kDivisors;
    rope.divisors = scaling.at("divisors").get<std::vector<float>>();
    check_divisors(rope.divisors, decoder.head_dim, origin);
    return;
  }
  rope.factor = number(scaling, "factor", 1.0, origin);
  if (type == "linear") {
    rope.scaling = RopeConfig::Scaling::kLinear;
  } else if (type == "llama3") {
    rope.scaling = RopeConfig::Scaling::kLlama3;
    rope.low_frequency_factor = number(scaling, "low_freq_factor", 1.0, origin);
    rope.high_frequency_factor = number(scaling, "high_freq_factor", 4.0, origin);
    PRECIS_CHECK(rope.high_frequency_factor > rope.low_frequency_factor,
                 kBadWeights,
                 origin,
                 ": rope high_freq_factor is not above low_freq_factor");
  } else if (type == "yarn") {
    rope.scaling = RopeConfig::Scaling::kYarn;
    rope.beta_fast = number(scaling, "beta_fast", 32.0, origin);
    rope.beta_slow = number(scaling, "beta_slow", 1.0, origin);
    rope.attention_factor = yarn_attention_factor(scaling, rope.factor, origin);
    rope.truncate_correction = scaling.value("truncate", true);
  } else {
    fail(ErrorKind::kUnsupported,
         origin,
         ": rope scaling \"",
         type,
         "\" is not supported (known: default, linear, llama3, yarn)");
  }
}

RopeConfig read_rope(const json& theta_owner,
                     const json& scaling,
                     double default_base,
                     const DecoderConfig& decoder,
                     const std::string& origin) {
  RopeConfig rope;
  rope.base = number(theta_owner, "rope_theta", default_base, origin);
  PRECIS_CHECK(number(theta_owner, "partial_rotary_factor", 1.0, origin) == 1.0,
               kUnsupported,
               origin,
               ": partial_rotary_factor is not supported");
  if (scaling.is_object()) read_scaling(rope, scaling, decoder, origin);
  return rope;
}

// rope_parameters, or its entry for the layer type; null where the file is in the old spelling.
json new_style(const json& config, const std::string& layer_type) {
  if (!config.contains("rope_parameters") || !config.at("rope_parameters").is_object())
    return nullptr;
  const json& all = config.at("rope_parameters");
  if (!layer_type.empty() && all.contains(layer_type)) return all.at(layer_type);
  return all;
}

}  // namespace

RopeConfig rope_config(const json& config,
                       const DecoderConfig& decoder,
                       const std::string& origin,
                       const std::string& layer_type) {
  const double default_base = layer_type.empty() ? 10000.0 : 1e6;  // Gemma 3's global layers
  const json parameters = new_style(config, layer_type);
  if (parameters.is_object())
    return read_rope(parameters, parameters, default_base, decoder, origin);
  const json scaling = config.contains("rope_scaling") ? config.at("rope_scaling") : json(nullptr);
  return read_rope(config, scaling, default_base, decoder, origin);
}

RopeConfig local_rope_config(const json& config,
                             const DecoderConfig& decoder,
                             const std::string& origin) {
  const json parameters = new_style(config, "sliding_attention");
  if (parameters.is_object()) return read_rope(parameters, parameters, 10000.0, decoder, origin);
  RopeConfig rope;
  rope.base = number(config, "rope_local_base_freq", 10000.0, origin);
  return rope;
}

}  // namespace precis
