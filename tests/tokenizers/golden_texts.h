// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "tokenizers/text_stream.h"

namespace precis {

using Ids = std::vector<TokenId>;

inline const std::filesystem::path kGolden =
    std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "tokenizers";

// The values of a JSON Lines file of golden/make_tokenizer_golden.py.
template <typename Value>
std::vector<Value> read_golden(const std::string& name) {
  std::ifstream file(kGolden / name);
  EXPECT_TRUE(file) << name;
  std::vector<Value> values;
  for (std::string line; std::getline(file, line);) {
    values.push_back(nlohmann::json::parse(line).get<Value>());
  }
  return values;
}

// Compares the ids of every golden text for which the reference has ids.
template <typename Encode>
void expect_golden_ids(const std::string& ids_file, const Encode& encode) {
  const auto texts = read_golden<std::string>("texts.jsonl");
  const auto expected = read_golden<Ids>(ids_file);
  ASSERT_GE(expected.size(), 200u);
  ASSERT_LE(expected.size(), texts.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(encode(texts[i]), expected[i]) << nlohmann::json(texts[i]).dump(-1, ' ', true);
  }
}

inline void expect_plain_ids(const Tokenizer& tokenizer, const std::string& ids_file) {
  expect_golden_ids(ids_file, [&](const std::string& text) { return tokenizer.encode(text); });
}

inline Ids encode_trusted(const Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.encode_runs(std::vector<TextRun>{{text, true}});
}

inline std::string stream(const Tokenizer& tokenizer, const Ids& ids) {
  TextStream stream(tokenizer);
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text + stream.finish();
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace precis
