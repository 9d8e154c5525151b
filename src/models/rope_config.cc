// SPDX-License-Identifier: Apache-2.0
#include "models/rope_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace precis {
namespace {

using nlohmann::json;
using Scaling = RopeConfig::Scaling;

bool is_present(const json& object, const std::string& key) {
  return object.contains(key) && !object.at(key).is_null();
}

// Null where the key is absent.
json object_at(const json& owner, const std::string& key, const std::string& origin) {
  if (!is_present(owner, key)) return nullptr;
  PRECIS_CHECK(owner.at(key).is_object(), kBadWeights, origin, ": ", key, " is not an object");
  return owner.at(key);
}

double number(const json& object, const char* key, double otherwise, const std::string& origin) {
  if (!is_present(object, key)) return otherwise;
  PRECIS_CHECK(object.at(key).is_number(), kBadWeights, origin, ": rope ", key, " is not a number");
  const double value = object.at(key).get<double>();
  PRECIS_CHECK(
      std::isfinite(value) && value > 0, kBadWeights, origin, ": rope ", key, " is ", value);
  return value;
}

// Above 1, so that frequencies fall from one pair to the next and stay finite.
double base(const json& object, const char* key, double otherwise, const std::string& origin) {
  const double value = number(object, key, otherwise, origin);
  PRECIS_CHECK(value > 1, kBadWeights, origin, ": rope ", key, " is ", value, ", expected above 1");
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

Scaling scaling_of(const std::string& type, const std::string& origin) {
  if (type == "default") return Scaling::kNone;
  if (type == "linear") return Scaling::kLinear;
  if (type == "llama3") return Scaling::kLlama3;
  if (type == "yarn") return Scaling::kYarn;
  if (type == "precis_divisors") return Scaling::kDivisors;
  fail(ErrorKind::kUnsupported,
       origin,
       ": rope scaling \"",
       type,
       "\" is not supported (known: default, linear, llama3, yarn)");
}

void read_scaling(RopeConfig& rope,
                  const json& scaling,
                  const DecoderConfig& decoder,
                  const std::string& origin) {
  rope.scaling =
      scaling_of(scaling.value("rope_type", scaling.value("type", std::string("default"))), origin);
  if (rope.scaling == Scaling::kNone) return;
  rope.original_context = number(scaling,
                                 "original_max_position_embeddings",
                                 static_cast<double>(decoder.context_length),
                                 origin);
  if (rope.scaling == Scaling::kDivisors) {
    rope.divisors = scaling.at("divisors").get<std::vector<float>>();
    check_divisors(rope.divisors, decoder.head_dim, origin);
    return;
  }
  PRECIS_CHECK(is_present(scaling, "factor"), kBadWeights, origin, ": rope factor is missing");
  rope.factor = number(scaling, "factor", 1.0, origin);
  if (rope.scaling == Scaling::kLlama3) {
    rope.low_frequency_factor = number(scaling, "low_freq_factor", 1.0, origin);
    rope.high_frequency_factor = number(scaling, "high_freq_factor", 4.0, origin);
    PRECIS_CHECK(rope.high_frequency_factor > rope.low_frequency_factor,
                 kBadWeights,
                 origin,
                 ": rope high_freq_factor is not above low_freq_factor");
  } else if (rope.scaling == Scaling::kYarn) {
    rope.beta_fast = number(scaling, "beta_fast", 32.0, origin);
    rope.beta_slow = number(scaling, "beta_slow", 1.0, origin);
    rope.attention_factor = yarn_attention_factor(scaling, rope.factor, origin);
    rope.truncate_correction = scaling.value("truncate", true);
  }
}

RopeConfig read_rope(const json& theta_owner,
                     const json& scaling,
                     double default_base,
                     const DecoderConfig& decoder,
                     const std::string& origin) {
  RopeConfig rope;
  rope.base = base(theta_owner, "rope_theta", default_base, origin);
  PRECIS_CHECK(number(theta_owner, "partial_rotary_factor", 1.0, origin) == 1.0,
               kUnsupported,
               origin,
               ": partial_rotary_factor is not supported");
  if (scaling.is_object()) read_scaling(rope, scaling, decoder, origin);
  return rope;
}

// rope_parameters, or its entry for the layer type; null where the file is in the old spelling.
json new_style(const json& config, const std::string& layer_type, const std::string& origin) {
  const json all = object_at(config, "rope_parameters", origin);
  return all.contains(layer_type) ? object_at(all, layer_type, origin) : all;
}

}  // namespace

RopeConfig rope_config(const json& config,
                       const DecoderConfig& decoder,
                       const std::string& origin,
                       const std::string& layer_type) {
  const double default_base = layer_type.empty() ? 10000.0 : 1e6;  // Gemma 3's global layers
  const json parameters = new_style(config, layer_type, origin);
  if (parameters.is_object())
    return read_rope(parameters, parameters, default_base, decoder, origin);
  const json scaling = object_at(config, "rope_scaling", origin);
  return read_rope(config, scaling, default_base, decoder, origin);
}

RopeConfig local_rope_config(const json& config,
                             const DecoderConfig& decoder,
                             const std::string& origin) {
  const json parameters = new_style(config, "sliding_attention", origin);
  if (parameters.is_object()) return read_rope(parameters, parameters, 10000.0, decoder, origin);
  RopeConfig rope;
  rope.base = base(config, "rope_local_base_freq", 10000.0, origin);
  return rope;
}

}  // namespace precis
