// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "compressors/compressor_files.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Typed values of compressor.json; null counts as absent. All throw kBadWeights naming the file and
// the key for a value of another type and for one that is missing and has no default. Borrows the
// files.
class Settings {
 public:
  explicit Settings(const CompressorFiles& files) : files_(files) {}

  bool has(const char* key) const;
  double number(const char* key) const;
  int64_t integer(const char* key) const;
  bool flag(const char* key, bool otherwise) const;
  // Whether the text is `yes` rather than `no` or absent. All others are refused.
  bool choice(const char* key, const char* yes, const char* no) const;
  TokenId id(const char* key) const;                // not checked against the vocabulary
  std::vector<TokenId> ids(const char* key) const;  // none if absent

 private:
  const nlohmann::json& present(const char* key) const;
  const nlohmann::json& expect(bool good, const char* key, const char* expected) const;
  TokenId token_id(const nlohmann::json& value, const char* key) const;

  const CompressorFiles& files_;
};

}  // namespace precis
