// SPDX-License-Identifier: Apache-2.0
// Gists that are spread over the text: each has the position of a token, and equals that token
// until it is trained.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "gisting_fixture.h"
#include "prompt/splice.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

constexpr double kTolerance = 1e-4;

// Models with and without windows.
class SpreadGisting : public testing::TestWithParam<const char*> {
 protected:
  SpreadGisting() : decoder(load_model(GetParam(), at::kFloat)) {
    config.ratio = 4;
    config.spread_positions = true;
    config.rank = 4;
    config.max_segment = 400;
    fresh = create_gisting(config, *decoder);
    trained = create_gisting(config, *decoder);
    at::manual_seed(3);
    for (const NamedTensor& named : trained->parameters()) named.tensor.normal_(0, 0.3);
  }

  static CachedTokens compress(const Compressor& compressor,
                               int64_t num_tokens,
                               std::optional<double> ratio = {}) {
    const Segment segment = segment_of(num_tokens);
    CompressOptions options;
    options.ratio = ratio;
    return cached_of(compressor.compress({&segment, 1}, options).front());
  }

  // Keys and values of the model itself, [layers, kv_heads, n, 2 * head_dim].
  at::Tensor states_of(const std::vector<TokenId>& ids) const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    const at::Tensor index = at::tensor(ids, at::kLong);
    const int64_t size = std::ssize(ids);
    decoder->forward({decoder->embed(index), at::arange(size), {0, size}, {0}}, cache);
    std::vector<at::Tensor> states;
    for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer) {
      const auto [keys, values] = cache.rows(layer, 0, 0, size);
      states.push_back(at::cat({keys, values}, 2));
    }
    return at::stack(states);
  }

  static at::Tensor states_of(const CachedTokens& memory) {
    return at::cat({memory.keys, memory.values}, 3);
  }

  static at::Tensor positions(const std::vector<int64_t>& of) { return at::tensor(of, at::kLong); }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  GistingConfig config;
  std::unique_ptr<Compressor> fresh, trained;
};

TEST_P(SpreadGisting, UntrainedGistsEqualTheTokensAtTheirPositions) {
  const at::Tensor whole = states_of(segment_of(40).tokens);
  const CachedTokens memory = compress(*fresh, 40);
  EXPECT_EQ(memory.first_position, 0);
  EXPECT_EQ(memory.next_position, 40);
  const at::Tensor wanted =
      whole.index_select(2, positions({0, 3, 7, 11, 15, 19, 23, 27, 31, 35, 39}));
  EXPECT_LT(largest_difference(states_of(memory), wanted), kTolerance);
}

TEST_P(SpreadGisting, UnevenSharesEndAtTheEndOfTheText) {
  const at::Tensor whole = states_of(segment_of(11).tokens);
  const CachedTokens memory = compress(*fresh, 11);
  EXPECT_LT(largest_difference(states_of(memory), whole.index_select(2, positions({0, 4, 10}))),
            kTolerance);
}

TEST_P(SpreadGisting, AtARatioOfOneTheMemoryIsTheTextItself) {
  EXPECT_LT(
      largest_difference(states_of(compress(*fresh, 30, 1.0)), states_of(segment_of(30).tokens)),
      kTolerance);
}

// Gists take no positions of their own: text and gists together may exceed the window.
TEST_P(SpreadGisting, ATextMayFillTheWindow) {
  config.max_segment = 512;
  const auto compressor = create_gisting(config, *decoder);
  EXPECT_EQ(compress(*compressor, 512, 1.0).keys.size(2), 512);
}

TEST_P(SpreadGisting, TheFirstTokenIsKeptUnlessAGistHasItsPosition) {
  for (const auto& [tokens, ratio, rows] : std::vector<std::tuple<int64_t, double, int64_t>>{
           {1, 4, 1}, {3, 4, 2}, {4, 4, 2}, {8, 4, 3}, {9, 1, 9}, {9, 1.5, 6}, {9, 2, 5}}) {
    EXPECT_EQ(compress(*fresh, tokens, ratio).keys.size(2), rows) << tokens << " at " << ratio;
    CompressOptions options;
    options.ratio = ratio;
    EXPECT_EQ(fresh->memory_size(tokens, options), rows) << tokens << " at " << ratio;
  }
}

TEST_P(SpreadGisting, IdsBeforeTheTextShiftTheirPositions) {
  config.before_text = {1, 2};
  const auto compressor = create_gisting(config, *decoder);
  std::vector<TokenId> ids{1, 2};
  const Segment segment = segment_of(8);
  ids.insert(ids.end(), segment.tokens.begin(), segment.tokens.end());
  const CachedTokens memory = compress(*compressor, 8);
  EXPECT_EQ(memory.next_position, 10);
  EXPECT_LT(
      largest_difference(states_of(memory), states_of(ids).index_select(2, positions({0, 5, 9}))),
      kTolerance);
  EXPECT_EQ(compressor->memory_size(8, {}), 3);
}

// A gist attends to the text up to its position: neither later tokens nor other gists change it.
TEST_P(SpreadGisting, TrainedGistsDoNotAttendToLaterTokens) {
  Segment segment = segment_of(40);
  const CachedTokens before = cached_of(trained->compress({&segment, 1}, {}).front());
  segment.tokens[30] = 4;
  const CachedTokens after = cached_of(trained->compress({&segment, 1}, {}).front());
  const auto difference = [&](int64_t first, int64_t count) {
    return largest_difference(states_of(before).narrow(2, first, count),
                              states_of(after).narrow(2, first, count));
  };
  EXPECT_EQ(difference(0, 8), 0);  // the first token and gists at positions 3 to 27
  EXPECT_GT(difference(8, 3), 1e-3);
}

TEST_P(SpreadGisting, ABatchOfRaggedSegmentsEqualsSinglesWithAndWithoutGradients) {
  const std::vector<Segment> segments{
      segment_of(1, 60), segment_of(7), segment_of(40, 9), segment_of(40, 12), segment_of(3)};
  for (const bool gradients : {false, true}) {
    const c10::AutoGradMode mode(gradients);
    for (const NamedTensor& named : trained->parameters()) named.tensor.requires_grad_(gradients);
    const auto together = trained->compress(segments, {});
    for (size_t i = 0; i < segments.size(); ++i) {
      const c10::NoGradGuard single;
      expect_alike(together[i], trained->compress({&segments[i], 1}, {}).front(), kTolerance);
    }
  }
}

// A pass with one token for each sequence must not be taken for a decode step.
TEST_P(SpreadGisting, ABatchOfSingleGistsEqualsSingles) {
  const std::vector<Segment> segments{segment_of(4), segment_of(5, 9), segment_of(6, 12)};
  const auto together = trained->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i)
    expect_alike(together[i], trained->compress({&segments[i], 1}, {}).front(), kTolerance);
  config.rank = 0;
  const auto bare = create_gisting(config, *decoder);
  const auto memories = bare->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i) {
    const int64_t last = std::ssize(segments[i].tokens) - 1;
    EXPECT_LT(
        largest_difference(states_of(cached_of(memories[i])),
                           states_of(segments[i].tokens).index_select(2, positions({0, last}))),
        kTolerance);
  }
}

TEST_P(SpreadGisting, EveryParameterHasAGradient) {
  const c10::AutoGradMode with(true);
  for (const NamedTensor& named : trained->parameters()) named.tensor.requires_grad_(true);
  const CachedTokens memory = compress(*trained, 20);
  (memory.keys.square().sum() + memory.values.square().sum()).backward();
  for (const NamedTensor& named : trained->parameters()) {
    ASSERT_TRUE(named.tensor.grad().defined()) << named.name;
    EXPECT_GT(named.tensor.grad().abs().max().item<double>(), 0.0) << named.name;
  }
}

TEST_P(SpreadGisting, LoadsWhatItSaved) {
  const TemporaryDirectory directory;
  trained->save(directory.path());
  const auto loaded = load_gisting(open_compressor(directory.path()), *decoder);
  EXPECT_EQ(loaded->info().fingerprint, trained->info().fingerprint);
  const Segment segment = segment_of(50);
  expect_alike(loaded->compress({&segment, 1}, {}).front(), compress(*trained, 50), 0);
}

// The same weights give other memories if the gists follow the text.
TEST_P(SpreadGisting, FingerprintDependsOnGistPositions) {
  config.spread_positions = false;
  const auto after = create_gisting(config, *decoder);
  const auto from = trained->parameters(), to = after->parameters();
  for (size_t i = 0; i < from.size(); ++i) to[i].tensor.copy_(from[i].tensor);
  EXPECT_NE(after->info().fingerprint, trained->info().fingerprint);
}

// Keys are rotated to the new positions, as if the text had been read there.
TEST_P(SpreadGisting, ARebasedMemoryGivesTheSameHiddenStates) {
  const CachedTokens memory = compress(*trained, 40);
  const auto answer = [&](const CachedTokens& one) {
    return read(splice(std::vector{memory_item(one), text_item({21, 22, 23})}, *decoder), *decoder);
  };
  EXPECT_LT(largest_difference(answer(memory), answer(rebase(memory, decoder->config(), 57))),
            1e-3);
}

// Each chunk is read from position 0, and its memory is rebased to follow the previous one.
TEST_P(SpreadGisting, LongTextsAreReadInChunks) {
  Segment whole = segment_of(43);
  CompressOptions options;
  options.segment = 16;  // 15, 15 and 13 tokens
  const CachedTokens memory = cached_of(trained->compress({&whole, 1}, options).front());
  EXPECT_EQ(memory.first_position, 0);
  EXPECT_EQ(memory.next_position, 43);
  EXPECT_EQ(memory.keys.size(2), 12);
  EXPECT_EQ(trained->memory_size(43, options), 12);
  for (const auto& [first, count] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 15}, {15, 15}, {30, 13}}) {
    const auto begin = whole.tokens.begin() + first;
    const Segment chunk{{begin, begin + count}, nullptr};
    const CachedTokens own =
        rebase(cached_of(trained->compress({&chunk, 1}, {}).front()), decoder->config(), first);
    EXPECT_LT(largest_difference(states_of(memory).narrow(2, first / 15 * 4, 4), states_of(own)),
              kTolerance);
  }
  EXPECT_TRUE(trained->info().divides);
  EXPECT_EQ(trained->memory_size(500, {}), 126);  // two chunks of 250
  expect_error(ErrorKind::kInvalidArgument, "the 513 of this one are over the model's window", [&] {
    trained->memory_size(513, {});
  });
}

// Three chunks of 300 tokens, each of which becomes 75 gists and the first token.
TEST_P(SpreadGisting, WithRowPositionsATextMayBeLongerThanTheWindow) {
  CompressOptions options;
  options.positions = MemoryPositions::kRows;
  EXPECT_EQ(trained->memory_size(900, options), 228);
  const Segment segment = segment_of(900);
  const CachedTokens memory = cached_of(trained->compress({&segment, 1}, options).front());
  EXPECT_EQ(memory.keys.size(2), 228);
  EXPECT_EQ(memory.first_position, 0);
  EXPECT_EQ(memory.next_position, 228);
  expect_error(ErrorKind::kInvalidArgument, "--positions rows", [&] {
    trained->compress({&segment, 1}, {});
  });
}

// With one chunk all distances to the text that follows are kept.
TEST_P(SpreadGisting, BothKindsOfPositionsGiveTheSameHiddenStates) {
  const Segment segment = segment_of(40);
  const auto answer = [&](MemoryPositions positions, int64_t next) {
    CompressOptions options;
    options.positions = positions;
    const CachedTokens memory = cached_of(trained->compress({&segment, 1}, options).front());
    EXPECT_EQ(memory.keys.size(2), 11);
    EXPECT_EQ(memory.next_position, next);
    return read(splice(std::vector{memory_item(memory), text_item({21, 22, 23})}, *decoder),
                *decoder);
  };
  EXPECT_LT(
      largest_difference(answer(MemoryPositions::kRows, 11), answer(MemoryPositions::kText, 40)),
      1e-3);
}

INSTANTIATE_TEST_SUITE_P(Models,
                         SpreadGisting,
                         testing::Values("llama", "mistral_window", "gemma3_text"),
                         [](const auto& test) { return std::string(test.param); });

TEST(SpreadGistingConfig, IsOfTheFrozenFormWithARatio) {
  const auto decoder = load_model("llama", at::kFloat);
  GistingConfig counted;
  counted.spread_positions = true;
  expect_error(ErrorKind::kInvalidArgument, "spread gists need a ratio", [&] {
    create_gisting(counted, *decoder);
  });
  GistingConfig config = golden_config(GistingConfig::Form::kTuned, 2);
  config.spread_positions = true;
  expect_error(
      ErrorKind::kInvalidArgument, "not spread over it", [&] { create_gisting(config, *decoder); });
}

}  // namespace
}  // namespace precis
