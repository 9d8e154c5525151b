// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>

#include "golden_texts.h"
#include "precis/extend/load_tokenizer.h"
#include "tokenizers/unicode.h"

namespace precis {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMegabyte = 1'000'000;

std::string repeat(std::string_view part, size_t size) {
  std::string text;
  while (text.size() < size) text += part;
  return text;
}

// Fails if `run` is slow: quadratic time would be minutes.
template <typename Run>
void expect_seconds(Run run) {
  const auto start = Clock::now();
  run();
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - start).count(), 10.0);
}

TEST(Nfc, EqualsPythons) {
  const auto pairs = read_golden<std::array<std::string, 2>>("nfc.jsonl");
  ASSERT_GE(pairs.size(), 500u);
  for (const auto& [text, normal] : pairs) {
    EXPECT_EQ(to_nfc(text), normal) << nlohmann::json(text).dump(-1, ' ', true);
    EXPECT_EQ(to_nfc(normal), normal) << nlohmann::json(text).dump(-1, ' ', true);
  }
}

TEST(Nfc, KeepsU11A7) {
  EXPECT_EQ(to_nfc("\u1100\u1161\u11A7"), "\uAC00\u11A7");
  EXPECT_EQ(to_nfc("\u1100\u1161\u11A8"), "\uAC01");
}

TEST(Nfc, SortsManyMarksQuickly) {
  const std::string text = "e" + repeat("\u0301\u0323", kMegabyte);
  const size_t pairs = text.size() / 4;
  std::string sorted = "\u1EB9" + repeat("\u0323", 2 * (pairs - 1));
  sorted += repeat("\u0301", 2 * pairs);
  expect_seconds([&] { EXPECT_TRUE(to_nfc(text) == sorted); });
}

TEST(Nfc, AMegabyteOfOneCharacterIsTokenizedQuickly) {
  const auto tokenizer = load_tokenizer(kGolden / "qwen2");
  for (const std::string_view part :
       {"\u0301\u0323", "a", " ", "\n ", " a", "\u3000", "\u1100\u1161", "1", "!", "'s", "<|im_"}) {
    const std::string text = "e" + repeat(part, kMegabyte);
    expect_seconds(
        [&] { EXPECT_TRUE(tokenizer->decode(tokenizer->encode(text)) == to_nfc(text)); });
  }
}

}  // namespace
}  // namespace precis
