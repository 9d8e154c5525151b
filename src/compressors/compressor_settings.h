// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "compressors/compressor_files.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Values of compressor.json, each of the type that its name wants; null counts as absent. All throw
// kBadWeights naming the file and the key if the value is of another type, or if it is missing and
// nothing is said to stand in for it. Borrows the files.
class Settings {
 public:
  explicit Settings(const CompressorFiles& files) : files_(files) {}

  bool has(const char* key) const;
  double number(const char* key) const;
  int64_t integer(const char* key) const;
  bool flag(const char* key, bool otherwise) const;
  // Whether the text is `yes`; absent or `no`: it is not. All others are refused.
  bool choice(const char* key, const char* yes, const char* no) const;
  TokenId id(const char* key) const;  // of any model: whether this one has it, others say
  std::vector<TokenId> ids(const char* key) const;  // none if absent

 private:
  const nlohmann::json& present(const char* key) const;
  const nlohmann::json& expect(bool good, const char* key, const char* expected) const;
  TokenId token_id(const nlohmann::json& value, const char* key) const;

  const CompressorFiles& files_;
};

}  // namespace precis
