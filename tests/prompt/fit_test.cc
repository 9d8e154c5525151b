// SPDX-License-Identifier: Apache-2.0
#include "prompt/fit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "prompt_fixture.h"
#include "support/expect_error.h"

namespace precis {
namespace {

using Treatment = Prompt::Treatment;

PromptItem text(const std::string& of_item, Treatment treatment) {
  return TokenSpan{ByteTokenizer().encode(of_item), treatment};
}

// "ab" kept, ten tokens of context, "yz" kept; a memory takes a quarter of its text.
std::string fitted(Overflow policy, int64_t limit, bool with_compressor = true) {
  OverflowRules rules{policy, limit, {}};
  if (with_compressor) rules.memory_size = [](int64_t n) { return std::max<int64_t>(1, n / 4); };
  return show(fit({text("ab", Treatment::kKeep),
                   text("0123456789", Treatment::kContext),
                   text("yz", Treatment::kKeep)},
                  rules));
}

TEST(Fit, DoesNotChangeAPromptThatFits) {
  for (const Overflow policy :
       {Overflow::kRefuse, Overflow::kTruncate, Overflow::kCompressFormer}) {
    EXPECT_EQ(fitted(policy, 14), "ab|?0123456789|yz");
  }
}

TEST(Fit, RefusesByPolicy) {
  expect_error(ErrorKind::kInvalidArgument, "14 rows are over the limit of 13", [] {
    fitted(Overflow::kRefuse, 13);
  });
}

TEST(Fit, DropsAsFewOfTheOldestTokensAsNeeded) {
  EXPECT_EQ(fitted(Overflow::kTruncate, 11, false), "ab|?3456789|yz");
  EXPECT_EQ(fitted(Overflow::kTruncate, 4, false), "ab|yz");
}

TEST(Fit, CompressesAsFewTokensAsNeeded) {
  EXPECT_EQ(fitted(Overflow::kCompressFormer, 11), "ab|!0123|?456789|yz");
  EXPECT_EQ(fitted(Overflow::kCompressLatter, 11), "ab|?012345|!6789|yz");
  EXPECT_EQ(fitted(Overflow::kCompressAll, 13), "ab|!0123456789|yz");
}

TEST(Fit, RefusesAPromptThatCannotBeMadeToFit) {
  expect_error(ErrorKind::kInvalidArgument, "over the limit of 5", [] {
    fitted(Overflow::kCompressFormer, 5);
  });
  expect_error(
      ErrorKind::kInvalidArgument, "over the limit of 3", [] { fitted(Overflow::kTruncate, 3); });
  expect_error(ErrorKind::kInvalidArgument, "without a compressor", [] {
    fitted(Overflow::kCompressAll, 5, false);
  });
}

TEST(Fit, CountsTextThatIsCompressedAnyway) {
  const OverflowRules rules{Overflow::kRefuse, 5, [](int64_t n) { return n / 2; }};
  EXPECT_EQ(show(fit({text("abcdef", Treatment::kCompress), text("yz", Treatment::kKeep)}, rules)),
            "!abcdef|yz");
}

TEST(Fit, CountsMemoriesAndEmbeddings) {
  const std::vector<PromptItem> items{memory_item(SoftTokens{at::ones({3, 4})}),
                                      make_embeddings(at::ones({2, 4})),
                                      text("ab", Treatment::kKeep)};
  EXPECT_EQ(show(fit(items, {Overflow::kRefuse, 7, {}})), "#3|@2|ab");
  expect_error(ErrorKind::kInvalidArgument, "7 rows are over the limit of 6", [&] {
    fit(items, {Overflow::kRefuse, 6, {}});
  });
}

}  // namespace
}  // namespace precis
