// SPDX-License-Identifier: Apache-2.0
#include "cli/savings_in_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace precis::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

// A document of 1,324 tokens as 333 memory tokens in a prompt of 2,431 tokens.
Completion some_completion() {
  Completion completion;
  completion.ids = std::vector<TokenId>(13, 7);
  completion.savings = {.prompt_tokens = 2431,
                        .prompt_rows = 1440,
                        .rows_read = 1440,
                        .compressed_tokens = 1324,
                        .memory_rows = 333,
                        .kv_bytes_saved = 22'830'000};
  completion.timings = {.compress_ms = 686.4, .prefill_ms = 540.1, .decode_ms = 167.6};
  return completion;
}

TEST(SavingsInWords, AreOneLine) {
  EXPECT_EQ(savings_in_words(some_completion(), {}),
            "2,431 -> 1,440 tokens (41 % fewer), 23 MB of cache saved; compressed 1,324 tokens in "
            "686 ms; prefill 540 ms instead of about 912; 13 tokens in 168 ms");
}

TEST(SavingsInWords, LeaveOutCompressionWhereThereWasNone) {
  Completion completion = some_completion();
  completion.savings = {.prompt_tokens = 1440, .prompt_rows = 1440, .rows_read = 1440};
  completion.timings.compress_ms = 0;
  EXPECT_EQ(savings_in_words(completion, {}), "1,440 tokens; prefill 540 ms; 13 tokens in 168 ms");
}

TEST(SavingsInWords, AStoredMemoryHasNoCompressionTime) {
  Completion completion = some_completion();
  completion.savings.compressed_tokens = 0;
  completion.timings.compress_ms = 0;
  EXPECT_EQ(savings_in_words(completion, {}),
            "2,431 -> 1,440 tokens (41 % fewer), 23 MB of cache saved; prefill 540 ms instead of "
            "about 912; 13 tokens in 168 ms");
}

TEST(SavingsInWords, IncludeTextCompressedBeforeTheRequest) {
  Completion completion = some_completion();
  EXPECT_THAT(savings_in_words(completion, {.tokens = 1000, .ms = 300}),
              HasSubstr("; compressed 2,324 tokens in 986 ms; "));
  completion.savings.compressed_tokens = 0;
  completion.timings.compress_ms = 0;
  EXPECT_THAT(savings_in_words(completion, {.tokens = 1324, .ms = 1686}),
              HasSubstr("; compressed 1,324 tokens in 1,686 ms; "));
}

// Short prompts have another rate than long ones; a prompt without compression has no estimate.
TEST(SavingsInWords, EstimateTheFullPrefillWhereThereIsARate) {
  Completion completion = some_completion();
  const auto say = [&](int64_t rows_read) {
    completion.savings.rows_read = rows_read;
    return savings_in_words(completion, {});
  };
  EXPECT_THAT(say(128), HasSubstr("prefill 540 ms instead of about 10,258; "));
  EXPECT_THAT(say(127), HasSubstr("prefill 540 ms; "));
  EXPECT_THAT(say(2430), HasSubstr("instead of about 540; "));
  EXPECT_THAT(say(2431), HasSubstr("prefill 540 ms; "));
}

// The memory of a word or two may be longer than the text.
TEST(SavingsInWords, AMemoryLongerThanItsTextIsNoSaving) {
  Completion completion = some_completion();
  completion.savings = {.prompt_tokens = 9,
                        .prompt_rows = 9,
                        .rows_read = 7,
                        .compressed_tokens = 2,
                        .memory_rows = 2};
  EXPECT_THAT(savings_in_words(completion, {}), HasSubstr("9 tokens; compressed 2 tokens in"));
  completion.savings.prompt_rows = 11;
  EXPECT_THAT(savings_in_words(completion, {}), Not(HasSubstr("fewer")));
}

TEST(WithCommas, SeparatesThousands) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(2431), "2,431");
  EXPECT_EQ(with_commas(123456), "123,456");
  EXPECT_EQ(with_commas(1000000), "1,000,000");
  EXPECT_EQ(with_commas(-999), "-999");
  EXPECT_EQ(with_commas(-1234567), "-1,234,567");
}

TEST(InBytes, HasTwoDigitsWhereThereAreFew) {
  EXPECT_EQ(in_bytes(0), "0 kB");
  EXPECT_EQ(in_bytes(4224), "4 kB");
  EXPECT_EQ(in_bytes(640'000), "640 kB");
  EXPECT_EQ(in_bytes(1'440'000), "1.4 MB");
  EXPECT_EQ(in_bytes(22'830'000), "23 MB");
  EXPECT_EQ(in_bytes(1'400'000'000), "1.4 GB");
  EXPECT_EQ(in_bytes(25'030'000'000), "25 GB");
}

}  // namespace
}  // namespace precis::cli
