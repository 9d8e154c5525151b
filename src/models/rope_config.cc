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

// Whether Python treats the value as false: transformers then ignores it.
bool is_false(const json& value) {
  return value.is_null() || value == false || value == 0 || value == "" ||
         (value.is_structured() && value.empty());
}

bool is_given(const json& object, const std::string& key) {
  return object.contains(key) && !is_false(object.at(key));
}

// Null if the key is not given.
json object_at(const json& owner, const std::string& key, const std::string& origin) {
  if (!is_given(owner, key)) return nullptr;
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

// Here 0 counts as not given.
double number_or(const json& object, const char* key, double otherwise, const std::string& origin) {
  return is_given(object, key) ? number(object, key, otherwise, origin) : otherwise;
}

// A base above 1, with which frequencies decrease and stay finite.
double base(const json& object, const char* key, double otherwise, const std::string& origin) {
  const double value = number(object, key, otherwise, origin);
  PRECIS_CHECK(value > 1, kBadWeights, origin, ": rope ", key, " is ", value, ", expected above 1");
  return value;
}

// arXiv 2309.00071, 3.4: cos and sin are scaled by 0.1 ln(factor) + 1; DeepSeek's files give a
// ratio of two such factors.
double yarn_attention_factor(const json& scaling, double factor, const std::string& origin) {
  const auto mscale = [&](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
  };
  double otherwise = mscale(1.0);
  if (is_given(scaling, "mscale") && is_given(scaling, "mscale_all_dim")) {
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

std::string type_of(const json& settings, const std::string& origin) {
  for (const char* key : {"rope_type", "type"}) {
    if (!is_present(settings, key)) continue;
    PRECIS_CHECK(
        settings.at(key).is_string(), kBadWeights, origin, ": rope ", key, " is not a string");
    return settings.at(key).get<std::string>();
  }
  return "default";
}

void read_llama3(RopeConfig& rope, const json& settings, const std::string& origin) {
  rope.low_frequency_factor = number(settings, "low_freq_factor", 1.0, origin);
  rope.high_frequency_factor = number(settings, "high_freq_factor", 4.0, origin);
  PRECIS_CHECK(rope.high_frequency_factor > rope.low_frequency_factor,
               kBadWeights,
               origin,
               ": rope high_freq_factor is not above low_freq_factor");
}

void read_yarn(RopeConfig& rope, const json& settings, const std::string& origin) {
  rope.beta_fast = number_or(settings, "beta_fast", 32.0, origin);
  rope.beta_slow = number_or(settings, "beta_slow", 1.0, origin);
  rope.attention_factor = yarn_attention_factor(settings, rope.factor, origin);
  rope.truncate_correction = !settings.contains("truncate") || is_given(settings, "truncate");
}

void read_scaling(RopeConfig& rope,
                  const json& settings,
                  const DecoderConfig& decoder,
                  const std::string& origin) {
  rope.scaling = scaling_of(type_of(settings, origin), origin);
  if (rope.scaling == Scaling::kNone) return;
  const auto context = static_cast<double>(decoder.context_length);
  rope.original_context = number(settings, "original_max_position_embeddings", context, origin);
  if (rope.scaling == Scaling::kDivisors) {
    rope.divisors = settings.at("divisors").get<std::vector<float>>();
    check_divisors(rope.divisors, decoder.head_dim, origin);
    return;
  }
  // YaRN's factor may be null: then it is the ratio of the two context lengths.
  const bool implied = rope.scaling == Scaling::kYarn && settings.contains("factor");
  PRECIS_CHECK(
      implied || is_present(settings, "factor"), kBadWeights, origin, ": rope factor is missing");
  rope.factor = number(settings, "factor", context / rope.original_context, origin);
  if (rope.scaling == Scaling::kLlama3) read_llama3(rope, settings, origin);
  if (rope.scaling == Scaling::kYarn) read_yarn(rope, settings, origin);
}

// Reads one object of settings. If it has no base, the base is `base_key` of config.json.
RopeConfig read_rope(const json& settings,
                     const json& config,
                     const char* base_key,
                     double default_base,
                     const DecoderConfig& decoder,
                     const std::string& origin) {
  RopeConfig rope;
  rope.base = is_present(settings, "rope_theta") ? base(settings, "rope_theta", 0.0, origin)
                                                 : base(config, base_key, default_base, origin);
  PRECIS_CHECK(number(settings, "partial_rotary_factor", 1.0, origin) == 1.0,
               kUnsupported,
               origin,
               ": partial_rotary_factor is not supported");
  read_scaling(rope, settings, decoder, origin);
  return rope;
}

// Gemma 3's entry for a type of layer.
json settings_for(const json& config, const std::string& layer_type, const std::string& origin) {
  const json all = object_at(config, "rope_parameters", origin);
  const json own = all.is_object() ? object_at(all, layer_type, origin) : json();
  return own.is_object() ? own : json::object({{"rope_type", "default"}});
}

// transformers looks for `truncate` beside Gemma's entries, never in them.
void move_truncate(json& settings, const json& config) {
  settings.erase("truncate");
  const auto all = config.find("rope_parameters");
  if (all != config.end() && all->is_object() && all->contains("truncate"))
    settings["truncate"] = all->at("truncate");
}

}  // namespace

RopeConfig rope_config(const json& config,
                       const DecoderConfig& decoder,
                       const std::string& origin) {
  json settings = object_at(config, "rope_scaling", origin);
  if (!settings.is_object()) settings = object_at(config, "rope_parameters", origin);
  if (!settings.is_object()) settings = json::object();
  const char* const original = "original_max_position_embeddings";
  if (is_present(config, original)) settings[original] = config.at(original);
  return read_rope(settings, config, "rope_theta", 10000.0, decoder, origin);
}

RopeConfig global_rope_config(const json& config,
                              const DecoderConfig& decoder,
                              const std::string& origin) {
  json settings = settings_for(config, "full_attention", origin);
  const json scaling = object_at(config, "rope_scaling", origin);
  if (scaling.is_object()) settings.update(scaling);
  move_truncate(settings, config);
  return read_rope(settings, config, "rope_theta", 1e6, decoder, origin);
}

RopeConfig local_rope_config(const json& config,
                             const DecoderConfig& decoder,
                             const std::string& origin) {
  json settings = settings_for(config, "sliding_attention", origin);
  move_truncate(settings, config);
  return read_rope(settings, config, "rope_local_base_freq", 10000.0, decoder, origin);
}

}  // namespace precis
