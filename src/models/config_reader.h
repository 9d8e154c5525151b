// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/check.h"

namespace precis {

// Values of a config.json. null counts as absent, but for is_null(). A value of the wrong type
// throws kBadWeights with the key's name.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& config, const std::string& origin)
      : config_(config), origin_(origin) {}

  bool has(const char* key) const { return config_.contains(key) && !config_.at(key).is_null(); }
  bool is_null(const char* key) const { return config_.contains(key) && config_.at(key).is_null(); }

  int64_t integer(const char* key, int64_t otherwise) const {
    if (!has(key)) return otherwise;
    const nlohmann::json& value = config_.at(key);
    PRECIS_CHECK(value.is_number_integer(), kBadWeights, origin_, ": ", key, " is not an integer");
    return value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX ? INT64_MAX
                                                                           : value.get<int64_t>();
  }
  int64_t size(const char* key) const {
    PRECIS_CHECK(has(key), kBadWeights, origin_, ": ", key, " is missing");
    return size(key, 0);
  }
  int64_t size(const char* key, int64_t otherwise) const {
    if (!has(key)) return otherwise;
    const int64_t number = integer(key, otherwise);
    PRECIS_CHECK(number > 0 && number <= kLargestSize,
                 kBadWeights,
                 origin_,
                 ": ",
                 key,
                 " is ",
                 number,
                 ", expected 1 to ",
                 kLargestSize);
    return number;
  }
  double number(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    PRECIS_CHECK(config_.at(key).is_number(), kBadWeights, origin_, ": ", key, " is not a number");
    const double value = config_.at(key).get<double>();
    PRECIS_CHECK(std::isfinite(value), kBadWeights, origin_, ": ", key, " is ", value);
    return value;
  }
  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    PRECIS_CHECK(
        config_.at(key).is_boolean(), kBadWeights, origin_, ": ", key, " is not true or false");
    return config_.at(key).get<bool>();
  }
  std::string text(const char* key, const std::string& otherwise) const {
    if (!has(key)) return otherwise;
    PRECIS_CHECK(config_.at(key).is_string(), kBadWeights, origin_, ": ", key, " is not a string");
    return config_.at(key).get<std::string>();
  }
  const nlohmann::json& at(const char* key) const { return config_.at(key); }
  const nlohmann::json& all() const { return config_; }
  const std::string& origin() const { return origin_; }

  // Larger than in any model, small enough that products of sizes do not overflow.
  static constexpr int64_t kLargestSize = int64_t{1} << 24;

 private:
  const nlohmann::json& config_;
  const std::string& origin_;
};

}  // namespace precis
