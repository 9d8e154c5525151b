// SPDX-License-Identifier: Apache-2.0
#include "compressors/compressor_settings.h"

#include <limits>

#include "base/check.h"

namespace precis {

bool Settings::has(const char* key) const {
  return files_.config.contains(key) && !files_.config.at(key).is_null();
}

double Settings::number(const char* key) const {
  return expect(present(key).is_number(), key, "a number").get<double>();
}

int64_t Settings::integer(const char* key) const {
  return expect(present(key).is_number_integer(), key, "an integer").get<int64_t>();
}

bool Settings::flag(const char* key, bool otherwise) const {
  if (!has(key)) return otherwise;
  return expect(present(key).is_boolean(), key, "true or false").get<bool>();
}

bool Settings::choice(const char* key, const char* yes, const char* no) const {
  if (!has(key)) return false;
  const nlohmann::json& value = present(key);
  const std::string expected = concat('"', yes, "\" or \"", no, '"');
  return expect(value == yes || value == no, key, expected.c_str()) == yes;
}

TokenId Settings::id(const char* key) const { return token_id(present(key), key); }

std::vector<TokenId> Settings::ids(const char* key) const {
  std::vector<TokenId> ids;
  if (!has(key)) return ids;
  for (const nlohmann::json& id : expect(present(key).is_array(), key, "an array of ids")) {
    ids.push_back(token_id(id, key));
  }
  return ids;
}

const nlohmann::json& Settings::present(const char* key) const {
  PRECIS_CHECK(has(key), kBadWeights, files_.origin(), ": ", key, " is missing");
  return files_.config.at(key);
}

const nlohmann::json& Settings::expect(bool good, const char* key, const char* expected) const {
  const nlohmann::json& value = files_.config.at(key);
  PRECIS_CHECK(
      good, kBadWeights, files_.origin(), ": ", key, " is ", value.dump(), ", expected ", expected);
  return value;
}

TokenId Settings::token_id(const nlohmann::json& value, const char* key) const {
  using Limits = std::numeric_limits<TokenId>;
  const bool good = value.is_number_integer() && value >= Limits::min() && value <= Limits::max();
  expect(good, key, "token ids");
  return value.get<TokenId>();
}

}  // namespace precis
