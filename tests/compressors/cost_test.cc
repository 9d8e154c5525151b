// SPDX-License-Identifier: Apache-2.0
// What the accounting says against published figures and counts by hand.
#include "precis/extend/cost.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/expect_error.h"

namespace precis {
namespace {

constexpr int64_t kBFloat16Bytes = 2;

// Cut off, as in the table of the IC-Former paper.
int64_t three_digits(double value) {
  while (value >= 1000) value /= 10;
  return static_cast<int64_t>(value);
}

CompressionCost cost_of(const char* model, const CompressorShape& compressor, int64_t length) {
  return compression_cost(model_shape(model), compressor, length, kBFloat16Bytes);
}

// Published figures

TEST(PublishedCost, IcaeAndIcFormerReadAsManyFlopsAsThePaperSays) {
  const double icae = cost_of("llama-2-7b", IcaeShape{}, 512).compress_flops,
               ic_former = cost_of("llama-2-7b", IcFormerShape{}, 512).compress_flops;
  EXPECT_EQ(icae, 8504035246080);
  EXPECT_EQ(three_digits(icae), 850);
  EXPECT_EQ(ic_former, 262529875968);
  EXPECT_EQ(three_digits(ic_former), 262);
  EXPECT_NEAR(icae / ic_former, 32.4, 0.05);
}

TEST(PublishedCost, ParametersAreThePublishedOnes) {
  EXPECT_EQ(cost_of("llama-2-7b", IcFormerShape{}, 512).parameters, 607690752);
  EXPECT_EQ(cost_of("llama-2-7b", IcaeShape{}, 512).parameters, 67645440);
  IcaeShape second;
  second.rank = 512;
  EXPECT_EQ(cost_of("mistral-7b", second, 512).parameters, 218640384);
  EXPECT_EQ(cost_of("llama-2-7b", SelfCpShape{}, 512).parameters,
            4096 * 4096 + 4096 + 2 * 4096 + 4096);
}

TEST(PublishedCost, AMemoryOf128TokensTakesAQuarterOfTheCacheOf512) {
  const CompressionCost cost = cost_of("llama-2-7b", IcaeShape{}, 512);
  EXPECT_EQ(cost.memory_tokens, 128);
  EXPECT_EQ(cost.memory_bytes, 128 * 4096 * 2);
  EXPECT_EQ(cost.full.kv_bytes, 512 * 524288);  // half a MiB a token, in bfloat16
  EXPECT_EQ(cost.memory.kv_bytes, 128 * 524288);
}

// Counted by hand: multiplications of each product, two FLOPs each.

// Queries of 6 x 4 = 24 columns, keys and values of 2 x 4 = 8.
DecoderConfig odd_model() {
  DecoderConfig model;
  model.vocab_size = 50;
  model.hidden_size = 10;
  model.num_layers = 1;
  model.num_heads = 6;
  model.num_kv_heads = 2;
  model.head_dim = 4;
  model.ffn_size = 14;
  return model;
}

TEST(CountedCost, ALayerWithFewerKeysThanQueries) {
  const double projections = 7 * 10 * 24 + 7 * 10 * 8 + 7 * 10 * 8 + 7 * 24 * 10;
  const double attention = 6 * (7 * 7 * 4) + 6 * (7 * 7 * 4);
  const double mlp = 7 * 10 * 14 + 7 * 10 * 14 + 7 * 14 * 10;
  const ContextCost cost = context_cost(odd_model(), 7, kBFloat16Bytes);
  EXPECT_EQ(cost.prefill_flops, 2 * (projections + attention + mlp));
  EXPECT_EQ(cost.kv_bytes, 7 * (8 + 8) * 2);
}

TEST(CountedCost, ATokenBehindAContextSeesThatAndItself) {
  const double projections = 10 * 24 + 10 * 8 + 10 * 8 + 24 * 10;
  const double attention = 6 * (8 * 4) + 6 * (8 * 4), mlp = 3 * 10 * 14, head = 10 * 50;
  EXPECT_EQ(context_cost(odd_model(), 7, kBFloat16Bytes).decode_flops,
            2 * (projections + attention + mlp + head));
}

TEST(CountedCost, LayersWithAWindowSeeNoMoreThanThat) {
  DecoderConfig model = odd_model();
  model.num_layers = 2;
  const double full = context_cost(model, 7, kBFloat16Bytes).prefill_flops;
  model.window = 4;
  model.windowed = {true, false};
  const double saved = 2 * 6 * (7 * (7 - 4) * 4);
  EXPECT_EQ(context_cost(model, 7, kBFloat16Bytes).prefill_flops, full - 2 * saved);
  EXPECT_EQ(context_cost(model, 4, kBFloat16Bytes).prefill_flops,
            2 * context_cost(odd_model(), 4, kBFloat16Bytes).prefill_flops);
}

TEST(CountedCost, SelfCpReadsSeparatorTextAndTags) {
  SelfCpShape shape;
  shape.ratio = 4;
  const CompressionCost cost = compression_cost(odd_model(), shape, 9, kBFloat16Bytes);
  const ContextCost pass = context_cost(odd_model(), 1 + 9 + 2, kBFloat16Bytes);
  EXPECT_EQ(cost.memory_tokens, 2);
  EXPECT_EQ(cost.compress_flops, pass.prefill_flops + 2 * (2 * 10 * 10));
  EXPECT_EQ(cost.adapter_flops, 0);
  EXPECT_EQ(cost.memory.prefill_flops, context_cost(odd_model(), 2, kBFloat16Bytes).prefill_flops);
}

TEST(CountedCost, IcaeReadsTextAndMemoryTokensThroughItsLora) {
  IcaeShape shape;
  shape.slots = 3;
  shape.rank = 2;
  const CompressionCost cost = compression_cost(odd_model(), shape, 5, kBFloat16Bytes);
  EXPECT_EQ(cost.compress_flops, context_cost(odd_model(), 8, kBFloat16Bytes).prefill_flops);
  const double query = 8 * 10 * 2 + 8 * 2 * 24, value = 8 * 10 * 2 + 8 * 2 * 8;
  EXPECT_EQ(cost.adapter_flops, 2 * (query + value));
  shape.connector = true;
  EXPECT_EQ(compression_cost(odd_model(), shape, 5, kBFloat16Bytes).compress_flops,
            cost.compress_flops + 2 * (3 * 10 * 10));
}

TEST(CountedCost, GistingByRatioHasMoreGistsForLongerTexts) {
  GistingShape counted, by_ratio;
  counted.num_gists = 3;
  by_ratio.ratio = 4;
  const CompressionCost cost = compression_cost(odd_model(), by_ratio, 13, kBFloat16Bytes);
  EXPECT_EQ(cost.memory_tokens, 3);
  EXPECT_EQ(cost.compress_flops,
            compression_cost(odd_model(), counted, 13, kBFloat16Bytes).compress_flops);
}

TEST(CountedCost, GistingsLoraActsOnTheGistsAlone) {
  DecoderConfig model = odd_model();
  model.num_layers = 2;
  GistingShape shape;
  shape.rank = 2;
  shape.rows_before = 2;
  const CompressionCost cost = compression_cost(model, shape, 5, kBFloat16Bytes);
  EXPECT_EQ(cost.compress_flops, context_cost(model, 8, kBFloat16Bytes).prefill_flops);
  const double query = 10 * 2 + 2 * 24, key = 10 * 2 + 2 * 8;
  EXPECT_EQ(cost.adapter_flops, 2 * ((query + 2 * key) + 2 * key));
  EXPECT_EQ(cost.memory.prefill_flops, 0);
  EXPECT_EQ(cost.memory_bytes, cost.memory.kv_bytes);
  shape.tuned = true;
  EXPECT_EQ(compression_cost(model, shape, 5, kBFloat16Bytes).adapter_flops, 0);
}

TEST(CountedCost, IcFormersDigestsReadTextAndDigests) {
  IcFormerShape shape;
  shape.slots = 3;
  shape.num_layers = 2;
  shape.ffn_size = 13;
  const double projections = 3 * 10 * 10 + 8 * 10 * 10 + 8 * 10 * 10 + 3 * 10 * 10;
  const double attention = 3 * 8 * 10 + 3 * 8 * 10, mlp = 3 * (3 * 10 * 13);
  const CompressionCost cost = compression_cost(odd_model(), shape, 5, kBFloat16Bytes);
  EXPECT_EQ(cost.compress_flops, 2 * 2 * (projections + attention + mlp));
  EXPECT_EQ(cost.adapter_flops, 0);
  shape.query_heads_per_key = 2;  // keys and values of 8 rows, 5 wide in place of 10
  EXPECT_EQ(compression_cost(odd_model(), shape, 5, kBFloat16Bytes).compress_flops,
            2 * 2 * (projections - 2 * 8 * 10 * 5 + attention + mlp));
}

// Compressors without weights

SelectionShape selection(SelectionShape::Method method, double ratio) {
  SelectionShape shape;
  shape.method = method;
  shape.ratio = ratio;
  shape.max_segment = 4096;
  return shape;
}

SelectionShape attention_matching(double ratio) {
  return selection(SelectionShape::Method::kAttentionMatching, ratio);
}

SelectionShape kvzip(double ratio) { return selection(SelectionShape::Method::kKvZip, ratio); }

double flops_of(const DecoderConfig& model, const SelectionShape& shape, int64_t num_tokens) {
  return compression_cost(model, shape, num_tokens, kBFloat16Bytes).compress_flops;
}

double pass_of(const DecoderConfig& model, int64_t num_rows) {
  return context_cost(model, num_rows, kBFloat16Bytes).prefill_flops;
}

// Ten rows become three: BOS and two of nine others, at which three heads of nine queries look. Six
// rows are candidates for the two.
TEST(CountedCost, AttentionMatchingReadsTheTextAndFitsRowsOfIt) {
  SelectionShape shape = attention_matching(3);
  shape.rows_before = 1;
  const double bos = 27 * 4 * 1, whole = 27 * 4 * 9 + 27 * 9 * 4 + 1 * 27 * 9;
  const double candidates = 27 * 4 * 6, gram = 6 * 27 * 6, targets = (4 + 1) * 27 * 6;
  const double bias = 27 * 4 * 2 + 2 * 27 * 2 + 2 * 27 * 1, direction = 4 * 27 * 4 + 4 * 27 * 1;
  const double read = 27 * 4 * 2 + 27 * 2 * 4, values = 2 * 27 * 2 + 2 * 27 * 4;
  const double head = bos + whole + candidates + gram + targets + bias + direction + read + values;
  EXPECT_EQ(flops_of(odd_model(), shape, 9), pass_of(odd_model(), 10) + 2 * 2 * head);
}

// Two prompt tokens and ten rows said again see these twelve and the ten of the text.
TEST(CountedCost, KvzipSaysTheTextAgainOverItsCache) {
  SelectionShape shape = kvzip(3);
  shape.rows_before = 1;
  shape.repeat_rows = 2;
  const double projections = 12 * 10 * 24 + 12 * 10 * 8 + 12 * 10 * 8 + 12 * 24 * 10;
  const double attention = 6 * (12 * 22 * 4) + 6 * (12 * 22 * 4), mlp = 3 * (12 * 10 * 14);
  const double scores = 6 * (12 * 22 * 4);
  EXPECT_EQ(flops_of(odd_model(), shape, 9),
            pass_of(odd_model(), 10) + 2 * (projections + attention + mlp + scores));
}

TEST(CountedCost, KvzipSaysLongTextsAgainInChunks) {
  SelectionShape shape = kvzip(3);
  shape.repeat_rows = 5;
  const auto chunk = [](double rows) {
    const double keys = 2049 + rows;
    return 2 * rows * (2 * 10 * 24 + 2 * 10 * 8 + 3 * 10 * 14) + 2 * (3 * 6 * (rows * keys * 4));
  };
  EXPECT_EQ(flops_of(odd_model(), shape, 2049),
            pass_of(odd_model(), 2049) + chunk(5 + 2048) + chunk(5 + 1));
}

TEST(CountedCost, SelectedRowsAreKeysAndValuesAtHand) {
  for (SelectionShape shape : {attention_matching(3), kvzip(3)}) {
    shape.rows_before = 1;
    const CompressionCost cost = compression_cost(odd_model(), shape, 9, kBFloat16Bytes);
    EXPECT_EQ(cost.parameters, 0);
    EXPECT_EQ(cost.adapter_flops, 0);
    EXPECT_EQ(cost.memory_tokens, 3);
    EXPECT_EQ(cost.memory_bytes, 3 * (8 + 8) * 2);
    EXPECT_EQ(cost.memory.kv_bytes, 3 * (8 + 8) * 2);
    EXPECT_EQ(cost.memory.prefill_flops, 0);
    EXPECT_EQ(cost.memory.decode_flops, context_cost(odd_model(), 3, 2).decode_flops);
  }
}

// One head of a block: t of n rows for m queries, out of c candidates and by `some` of the queries.
double fitted_block(double m, double n, double t, double c, double some) {
  const double whole = 2 * (m * 4 * n) + m * n;
  const double selection = some * 4 * c + some * c * c + some * c * 5;
  const double bias = m * 4 * t + m * t * t + m * t, direction = m * 4 * 4 + m * 4;
  const double values = 2 * (m * 4 * t) + m * t * t + m * t * 4;
  return whole + selection + bias + direction + values;
}

// 2049 rows are fitted in three blocks, 511 of them are left: 170, 170 and 171. Three heads have
// 682 queries each, which is as many as 2048 holds; every third of all is used to select.
TEST(CountedCost, LongTextsAreFittedInBlocks) {
  const double m = 3 * 682, first = m * 4 * 1, masses = m * 4 * 2049;
  const double head = first + masses + 2 * fitted_block(m, 683, 170, 3 * 170, 682) +
                      fitted_block(m, 683, 171, 3 * 171, 682);
  EXPECT_EQ(flops_of(odd_model(), attention_matching(2050.0 / 512), 2050),
            pass_of(odd_model(), 2050) + 2 * 2 * head);
}

// At a ratio of two all 800 rows behind the first are candidates, and every second query is used.
TEST(CountedCost, ManyCandidatesAreSelectedByAsManyQueries) {
  const double m = 3 * 682, first = m * 4 * 1;
  const double head = first + fitted_block(m, 800, 399, 800, 1023);
  EXPECT_EQ(flops_of(odd_model(), attention_matching(2), 801),
            pass_of(odd_model(), 801) + 2 * 2 * head);
}

// Of a layer with a window of six, five rows are seen by what follows: the first of them stays, and
// two of the other four are left.
TEST(CountedCost, LayersWithAWindowFitWhatIsStillSeen) {
  DecoderConfig model = odd_model();
  model.window = 6;
  model.windowed = {true};
  const double m = 3 * 4, first = m * 4 * 1;
  const double head = first + fitted_block(m, 4, 2, 4, m);
  EXPECT_EQ(flops_of(model, attention_matching(3), 9), pass_of(model, 9) + 2 * 2 * head);
  model.window = 4;  // all three that are seen are left
  EXPECT_EQ(flops_of(model, attention_matching(3), 9), pass_of(model, 9));
}

TEST(CountedCost, AtARatioOfOneAllRowsAreLeftAsTheyAre) {
  for (SelectionShape shape : {attention_matching(1), kvzip(1)}) {
    shape.rows_before = 1;
    const CompressionCost cost = compression_cost(odd_model(), shape, 9, kBFloat16Bytes);
    EXPECT_EQ(cost.memory_tokens, 10);
    EXPECT_EQ(cost.compress_flops, pass_of(odd_model(), 10));
  }
}

TEST(LongestPart, IsWhatTheWindowHolds) {
  DecoderConfig model = odd_model();
  SelectionShape matching, zip = {SelectionShape::Method::kKvZip};
  zip.repeat_rows = 10;
  zip.rows_before = matching.rows_before = 1;
  model.context_length = 8192;
  EXPECT_EQ(longest_part(matching, model), 8191);
  EXPECT_EQ(longest_part(zip, model), 8192 - 10 - 2048 - 1);
  model.context_length = 512;  // half of it for the text, half to say it again
  EXPECT_EQ(longest_part(zip, model), (512 - 10) / 2 - 1);
  EXPECT_EQ(longest_part(kvzip(3), model), 4096);
}

// Long texts

TEST(DividedCost, IsThatOfTheParts) {
  const CompressorShape icae = IcaeShape{}, ic_former = IcFormerShape{};
  for (const CompressorShape& shape : {icae, ic_former}) {
    const auto of = [&](int64_t length) { return cost_of("llama-2-7b", shape, length); };
    EXPECT_EQ(of(513).compress_flops, of(257).compress_flops + of(256).compress_flops);
    EXPECT_EQ(of(513).adapter_flops, of(257).adapter_flops + of(256).adapter_flops);
    EXPECT_EQ(of(513).memory_tokens, 256);
    EXPECT_EQ(of(513).parameters, of(256).parameters);
    EXPECT_EQ(of(5 * 512).compress_flops, 5 * of(512).compress_flops);
  }
}

TEST(DividedCost, SelfCpRoundsTheTagsOfEachPart) {
  EXPECT_EQ(cost_of("llama-2-7b", SelfCpShape{}, 1000).memory_tokens, 500 / 12 + 500 / 12);
  EXPECT_EQ(cost_of("llama-2-7b", SelfCpShape{}, 5).memory_tokens, 1);
}

TEST(DividedCost, BuiltInCompressorsReadAsMuchAsTheWindowHolds) {
  DecoderConfig model = odd_model();
  model.context_length = 101;
  for (const auto method :
       {SelectionShape::Method::kAttentionMatching, SelectionShape::Method::kKvZip}) {
    SelectionShape whole = selection(method, 12);
    whole.rows_before = 1;
    whole.max_segment = 0;
    SelectionShape parts = whole;
    parts.max_segment = method == SelectionShape::Method::kKvZip ? 49 : 100;
    const int64_t length = 2 * parts.max_segment;
    EXPECT_EQ(flops_of(model, whole, length), 2 * flops_of(model, parts, length / 2));
    EXPECT_EQ(compression_cost(model, whole, length, kBFloat16Bytes).memory_tokens,
              2 * (parts.max_segment / 12));
  }
}

TEST(DividedCost, GistingDoesNotDivide) {
  cost_of("llama-2-7b", GistingShape{}, 512);
  expect_error(ErrorKind::kInvalidArgument, "limit of 512", [] {
    cost_of("llama-2-7b", GistingShape{}, 513);
  });
}

// Bad input

TEST(BadCost, LengthsAndSizesOutOfRangeAreNamed) {
  const DecoderConfig model = odd_model();
  const auto refuse = [&](const CompressorShape& shape, int64_t length, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] {
      compression_cost(model, shape, length, kBFloat16Bytes);
    });
  };
  for (const int64_t length : {int64_t{0}, int64_t{-5}, std::numeric_limits<int64_t>::max()}) {
    refuse(IcaeShape{}, length, "length is " + std::to_string(length));
    expect_error(ErrorKind::kInvalidArgument, "length", [&] { context_cost(model, length, 2); });
  }
  expect_error(ErrorKind::kInvalidArgument, "elements", [&] { context_cost(model, 5, 0); });
  refuse(SelfCpShape{0.5}, 10, "ratio");
  refuse(SelfCpShape{std::numeric_limits<double>::quiet_NaN()}, 10, "ratio");
  refuse(SelfCpShape{12, 0}, 10, "max_segment");
  refuse(IcaeShape{0}, 10, "slots");
  refuse(IcaeShape{4, 512, 0}, 10, "rank");
  refuse(GistingShape{0}, 10, "num_gists");
  refuse(IcFormerShape{4, 512, 0}, 10, "num_layers");
  refuse(IcFormerShape{4, 512, 3, -1}, 10, "ffn_size");
  constexpr auto kKvZip = SelectionShape::Method::kKvZip;
  refuse(SelectionShape{kKvZip, 0.5}, 10, "ratio");
  refuse(SelectionShape{kKvZip, 4, -1}, 10, "max_segment");
  refuse(SelectionShape{kKvZip, 4, 9, -1}, 10, "rows_before");
  refuse(SelectionShape{kKvZip, 4, 9, 0, -1}, 10, "repeat_rows");
  refuse(SelectionShape{}, 10, "window of 0 holds no text");
}

TEST(BadCost, AModelWithoutHeadsIsNamed) {
  DecoderConfig model = odd_model();
  model.num_kv_heads = 0;
  expect_error(ErrorKind::kInvalidArgument, "6 heads over 0", [&] {
    compression_cost(model, attention_matching(4), 10, kBFloat16Bytes);
  });
}

TEST(BadCost, WhatCannotBeCountedIsRefusedRatherThanWrapped) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  constexpr auto kKvZip = SelectionShape::Method::kKvZip;
  for (const SelectionShape& shape : {SelectionShape{kKvZip, 4, 9, kHuge},
                                      SelectionShape{kKvZip, 4, 9, 0, kHuge},
                                      SelectionShape{kKvZip, 4, 0, kHuge, kHuge}}) {
    expect_error(ErrorKind::kInvalidArgument, "expected at most", [&] {
      compression_cost(odd_model(), shape, 10, kBFloat16Bytes);
    });
  }
  for (const CompressorShape& shape : {CompressorShape(IcaeShape{kHuge}),
                                       CompressorShape(GistingShape{kHuge}),
                                       CompressorShape(IcFormerShape{4, 512, kHuge})}) {
    expect_error(ErrorKind::kInvalidArgument, "more than can be counted", [&] {
      compression_cost(odd_model(), shape, 10, kBFloat16Bytes);
    });
  }
}

}  // namespace
}  // namespace precis
