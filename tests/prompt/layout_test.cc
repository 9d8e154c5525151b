// SPDX-License-Identifier: Apache-2.0
#include "prompt/layout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "prompt_fixture.h"
#include "support/expect_error.h"

namespace precis {
namespace {

using Treatment = Prompt::Treatment;
using Ids = std::vector<TokenId>;
using Indices = std::vector<int64_t>;

PromptItem ids(Ids tokens, Treatment treatment = Treatment::kKeep) {
  return TokenSpan{std::move(tokens), treatment};
}

PromptItem soft(int64_t size) { return memory_item(SoftTokens{at::ones({size, 4})}); }

// A cached memory of `size` tokens at positions first to next - 1.
PromptItem cached(int64_t size, int64_t first, int64_t next, int64_t num_sinks = 0) {
  const at::Tensor rows = at::zeros({2, 1, size, 4});
  return memory_item(CachedTokens{rows, rows, first, next, num_sinks});
}

PromptItem embeddings(int64_t size) { return make_embeddings(at::ones({size, 4})); }

DecoderConfig config(int64_t context_length = 100) {
  DecoderConfig own;
  own.context_length = context_length;
  return own;
}

PromptLayout layout_of(std::vector<PromptItem> items, int64_t to_follow = 0) {
  return lay_out(items, config(), nullptr, to_follow);
}

TEST(Layout, IndexesTokensFirstThenEmbeddings) {
  const PromptLayout layout =
      layout_of({ids({10}), soft(2), ids({11, 12}), embeddings(1), ids({13})});
  EXPECT_EQ(layout.input_ids, (Ids{10, 11, 12, 13}));
  EXPECT_EQ(layout.source_indices, (Indices{0, 4, 5, 1, 2, 6, 3}));
  EXPECT_EQ(layout.input_embeddings.size(), 2u);
  EXPECT_EQ(layout.ids, (Ids{10, 11, 12, 13}));
  EXPECT_EQ(layout.start, 0);
  EXPECT_EQ(layout.prefix, nullptr);
}

TEST(Layout, ACachedMemoryAtTheBeginningKeepsItsPositions) {
  const PromptLayout layout = layout_of({cached(3, 1, 9, 2), ids({10, 11})});
  ASSERT_EQ(layout.cached.size(), 1u);
  EXPECT_FALSE(layout.cached[0].rebased);
  EXPECT_EQ(layout.cached[0].first_position, 1);
  EXPECT_EQ(layout.cached[0].num_left_out, 0);
  EXPECT_EQ(layout.start, 9);
  EXPECT_EQ(layout.num_inputs(), 2);
}

TEST(Layout, KeptTokensBeforeACachedMemoryBecomeThePrefix) {
  const PromptLayout layout =
      layout_of({ids({7, 8}), ids({9}), cached(3, 1, 9, 2), cached(2, 0, 2, 2), ids({10})});
  ASSERT_NE(layout.prefix, nullptr);
  EXPECT_EQ(layout.prefix->tokens(), (Ids{7, 8, 9}));
  ASSERT_EQ(layout.cached.size(), 2u);
  EXPECT_TRUE(layout.cached[0].rebased);
  EXPECT_EQ(layout.cached[0].first_position, 3);
  EXPECT_EQ(layout.cached[0].num_left_out, 2);
  EXPECT_EQ(layout.cached[1].first_position, 11);
  EXPECT_EQ(layout.cached[1].num_left_out, 0);  // it has no other tokens
  EXPECT_EQ(layout.start, 13);
  EXPECT_EQ(layout.input_ids, (Ids{10}));
  EXPECT_EQ(layout.ids, (Ids{7, 8, 9, 10}));
}

TEST(Layout, TokensOfASharedPrefixAreNotInputs) {
  const auto prefix = std::make_shared<SharedPrefix>(Ids{7, 8});
  const std::vector<PromptItem> items{ids({7}), ids({8, 9}), soft(1), ids({10})};
  const PromptLayout layout = lay_out(items, config(), prefix);
  EXPECT_EQ(layout.prefix, prefix);
  EXPECT_EQ(layout.input_ids, (Ids{9, 10}));
  EXPECT_EQ(layout.source_indices, (Indices{0, 2, 1}));
  EXPECT_EQ(layout.ids, (Ids{7, 8, 9, 10}));
  EXPECT_EQ(layout.start, 2);
}

TEST(Layout, CachedMemoriesAfterInputsAreRefused) {
  for (const std::vector<PromptItem>& items :
       {std::vector{soft(1), cached(1, 0, 1), ids({2})},
        std::vector{embeddings(1), cached(1, 0, 1), ids({2})},
        std::vector{ids({1}), embeddings(1), cached(1, 0, 1), ids({2})},
        std::vector{cached(1, 0, 1), ids({1}), cached(1, 0, 1), ids({2})}}) {
    expect_error(
        ErrorKind::kInvalidArgument, "no cached memory can stand", [&] { layout_of(items); });
  }
}

TEST(Layout, PositionsMustFitTheContextLength) {
  EXPECT_EQ(layout_of({cached(3, 0, 90), ids({5, 6})}, 8).start, 90);
  expect_error(ErrorKind::kInvalidArgument, "do not fit the model's window of 100", [] {
    layout_of({cached(3, 0, 90), ids({5, 6})}, 9);
  });
  expect_error(ErrorKind::kInvalidArgument, "--positions rows", [] {
    layout_of({cached(3, 0, 90), ids({5, 6})}, 9);
  });
  expect_error(ErrorKind::kInvalidArgument, "90 positions behind 11 others", [] {
    layout_of({ids(Ids(11, 5)), cached(3, 0, 90), ids({6})});
  });
}

TEST(Layout, EndsOnAMemoryOrOnTextThatBecomesOne) {
  const auto ends = [](PromptItem last) {
    return ends_on_memory(std::vector{ids({1}), std::move(last)});
  };
  EXPECT_TRUE(ends(soft(1)));
  EXPECT_TRUE(ends(cached(1, 0, 1)));
  EXPECT_TRUE(ends(ids({2}, Treatment::kCompress)));
  EXPECT_FALSE(ends(ids({2})));
  EXPECT_FALSE(ends(embeddings(1)));
}

TEST(Layout, AnImpliedBosIsRemovedBeforeTextThatBecomesACachedMemory) {
  const PromptItem bos = TokenSpan{{256}, Treatment::kKeep, /*implied_bos=*/true};
  const PromptItem compressed = ids({1}, Treatment::kCompress);
  const auto left = [](std::vector<PromptItem> items, bool cached_memories) {
    remove_bos_before_cached(items, cached_memories);
    return items.size();
  };
  EXPECT_EQ(left({bos, compressed}, true), 1u);
  EXPECT_EQ(left({bos, compressed}, false), 2u);
  EXPECT_EQ(left({bos, ids({1})}, true), 2u);
  EXPECT_EQ(left({ids({256}), compressed}, true), 2u);
}

TEST(Layout, CompressorsReadTheKeptTokensThatAPromptStartsWith) {
  const auto prefix =
      kept_prefix(std::vector{ids({1, 2}), ids({3}), ids({4}, Treatment::kContext), ids({5})});
  ASSERT_NE(prefix, nullptr);
  EXPECT_EQ(prefix->tokens(), (Ids{1, 2, 3}));
  EXPECT_EQ(kept_prefix(std::vector{embeddings(1), ids({3})}), nullptr);
}

TEST(Layout, CachedPlacesAreCheckedBeforeCompression) {
  CompressorInfo info;
  info.method = "gisting";
  const std::vector<PromptItem> misplaced{
      ids({1}), embeddings(1), ids({2}, Treatment::kCompress), ids({3})};
  check_cached_places(misplaced, info);  // soft memories may be anywhere
  info.cached = true;
  expect_error(ErrorKind::kInvalidArgument, "gisting makes cached memories", [&] {
    check_cached_places(misplaced, info);
  });
  check_cached_places(
      std::vector{ids({1}), ids({2}, Treatment::kCompress), cached(1, 0, 1), soft(1), ids({3})},
      info);
}

}  // namespace
}  // namespace precis
