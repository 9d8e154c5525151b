// SPDX-License-Identifier: Apache-2.0
// Costs compared with published figures and with counts by hand.
#include "precis/extend/cost.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>

#include "precis/extend/registry.h"
#include "support/expect_error.h"

namespace precis {
namespace {

constexpr int64_t kBFloat16Bytes = 2;

// Truncated to three digits, as in the table of the IC-Former paper.
int64_t three_digits(double value) {
  while (value >= 1000) value /= 10;
  return static_cast<int64_t>(value);
}

CompressionCost cost_of(const char* model, const CompressorShape& compressor, int64_t length) {
  return compression_cost(model_shape(model), compressor, length, kBFloat16Bytes);
}

// The published compressors.
const CompressorShape kSelfCp{"selfcp"}, kIcae{"icae"}, kGisting{"gisting"}, kIcFormer{"ic_former"};

// Published figures

TEST(PublishedCost, IcaeAndIcFormerReadAsManyFlopsAsThePaperSays) {
  const double icae = cost_of("llama-2-7b", kIcae, 512).compress_flops,
               ic_former = cost_of("llama-2-7b", kIcFormer, 512).compress_flops;
  EXPECT_EQ(icae, 8504035246080);
  EXPECT_EQ(three_digits(icae), 850);
  EXPECT_EQ(ic_former, 262529875968);
  EXPECT_EQ(three_digits(ic_former), 262);
  EXPECT_NEAR(icae / ic_former, 32.4, 0.05);
}

TEST(PublishedCost, ParametersAreThePublishedOnes) {
  EXPECT_EQ(cost_of("llama-2-7b", kIcFormer, 512).parameters, 607690752);
  EXPECT_EQ(cost_of("llama-2-7b", kIcae, 512).parameters, 67645440);
  EXPECT_EQ(cost_of("mistral-7b", {"icae", {{"rank", 512}}}, 512).parameters, 218640384);
  EXPECT_EQ(cost_of("llama-2-7b", kSelfCp, 512).parameters, 4096 * 4096 + 4096 + 2 * 4096 + 4096);
}

TEST(PublishedCost, AMemoryOf128TokensTakesAQuarterOfTheCacheOf512) {
  const CompressionCost cost = cost_of("llama-2-7b", kIcae, 512);
  EXPECT_EQ(cost.memory_tokens, 128);
  EXPECT_EQ(cost.memory_bytes, 128 * 4096 * 2);
  EXPECT_EQ(cost.full.kv_bytes, 512 * 524288);  // half a MiB a token, in bfloat16
  EXPECT_EQ(cost.memory.kv_bytes, 128 * 524288);
}

// Counted by hand: two FLOPs for each multiplication of a matrix product.

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
  model.context_length = 8192;
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

TEST(CountedCost, ATokenAfterAContextAttendsToThatAndItself) {
  const double projections = 10 * 24 + 10 * 8 + 10 * 8 + 24 * 10;
  const double attention = 6 * (8 * 4) + 6 * (8 * 4), mlp = 3 * 10 * 14, head = 10 * 50;
  EXPECT_EQ(context_cost(odd_model(), 7, kBFloat16Bytes).decode_flops,
            2 * (projections + attention + mlp + head));
}

TEST(CountedCost, LayersWithAWindowAttendToNoMoreThanThat) {
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
  const CompressorShape shape{"selfcp", {{"ratio", 4.0}}};
  const CompressionCost cost = compression_cost(odd_model(), shape, 9, kBFloat16Bytes);
  const ContextCost pass = context_cost(odd_model(), 1 + 9 + 2, kBFloat16Bytes);
  EXPECT_EQ(cost.memory_tokens, 2);
  EXPECT_EQ(cost.compress_flops, pass.prefill_flops + 2 * (2 * 10 * 10));
  EXPECT_EQ(cost.adapter_flops, 0);
  EXPECT_EQ(cost.memory.prefill_flops, context_cost(odd_model(), 2, kBFloat16Bytes).prefill_flops);
}

TEST(CountedCost, IcaeReadsTextAndMemoryTokensThroughItsLora) {
  CompressorShape shape{"icae", {{"slots", 3}, {"rank", 2}}};
  const CompressionCost cost = compression_cost(odd_model(), shape, 5, kBFloat16Bytes);
  EXPECT_EQ(cost.compress_flops, context_cost(odd_model(), 8, kBFloat16Bytes).prefill_flops);
  const double query = 8 * 10 * 2 + 8 * 2 * 24, value = 8 * 10 * 2 + 8 * 2 * 8;
  EXPECT_EQ(cost.adapter_flops, 2 * (query + value));
  shape.sizes["connector"] = true;
  EXPECT_EQ(compression_cost(odd_model(), shape, 5, kBFloat16Bytes).compress_flops,
            cost.compress_flops + 2 * (3 * 10 * 10));
}

TEST(CountedCost, GistingByRatioHasMoreGistsForLongerTexts) {
  const CompressorShape counted{"gisting", {{"num_gists", 3}}};
  const CompressorShape by_ratio{"gisting", {{"ratio", 4.0}}};
  const CompressionCost cost = compression_cost(odd_model(), by_ratio, 13, kBFloat16Bytes);
  EXPECT_EQ(cost.memory_tokens, 3);
  EXPECT_EQ(cost.compress_flops,
            compression_cost(odd_model(), counted, 13, kBFloat16Bytes).compress_flops);
}

TEST(CountedCost, GistingsLoraActsOnTheGistsAlone) {
  DecoderConfig model = odd_model();
  model.num_layers = 2;
  CompressorShape shape{"gisting", {{"rank", 2}, {"rows_before", 2}}};
  const CompressionCost cost = compression_cost(model, shape, 5, kBFloat16Bytes);
  EXPECT_EQ(cost.compress_flops, context_cost(model, 8, kBFloat16Bytes).prefill_flops);
  const double query = 10 * 2 + 2 * 24, key = 10 * 2 + 2 * 8;
  EXPECT_EQ(cost.adapter_flops, 2 * ((query + 2 * key) + 2 * key));
  EXPECT_EQ(cost.memory.prefill_flops, 0);
  EXPECT_EQ(cost.memory_bytes, cost.memory.kv_bytes);
  shape.sizes["form"] = "tuned";
  EXPECT_EQ(compression_cost(model, shape, 5, kBFloat16Bytes).adapter_flops, 0);
}

TEST(CountedCost, IcFormersDigestsReadTextAndDigests) {
  CompressorShape shape{"ic_former", {{"slots", 3}, {"num_layers", 2}, {"ffn_size", 13}}};
  const double projections = 3 * 10 * 10 + 8 * 10 * 10 + 8 * 10 * 10 + 3 * 10 * 10;
  const double attention = 3 * 8 * 10 + 3 * 8 * 10, mlp = 3 * (3 * 10 * 13);
  const CompressionCost cost = compression_cost(odd_model(), shape, 5, kBFloat16Bytes);
  EXPECT_EQ(cost.compress_flops, 2 * 2 * (projections + attention + mlp));
  EXPECT_EQ(cost.adapter_flops, 0);
  shape.sizes["query_heads_per_key"] = 2;  // 8 keys and values, 5 wide in place of 10
  EXPECT_EQ(compression_cost(odd_model(), shape, 5, kBFloat16Bytes).compress_flops,
            2 * 2 * (projections - 2 * 8 * 10 * 5 + attention + mlp));
}

// Compressors without weights

CompressorShape built_in(const char* method,
                         double ratio,
                         int64_t rows_before,
                         int64_t repeat_rows) {
  return {method,
          {{"ratio", ratio},
           {"max_segment", 4096},
           {"rows_before", rows_before},
           {"repeat_rows", repeat_rows}}};
}

CompressorShape attention_matching(double ratio, int64_t rows_before = 0, int64_t repeat_rows = 0) {
  return built_in("attention_matching", ratio, rows_before, repeat_rows);
}

CompressorShape kvzip(double ratio, int64_t rows_before = 0, int64_t repeat_rows = 0) {
  return built_in("kvzip", ratio, rows_before, repeat_rows);
}

double flops_of(const DecoderConfig& model, const CompressorShape& shape, int64_t num_tokens) {
  return compression_cost(model, shape, num_tokens, kBFloat16Bytes).compress_flops;
}

double pass_of(const DecoderConfig& model, int64_t num_rows) {
  return context_cost(model, num_rows, kBFloat16Bytes).prefill_flops;
}

// Ten tokens become three: BOS and two of the nine others. 21 reference queries of each of three
// heads attend to them: of the nine, and of the prompt's two and ten repeated ones. Six tokens are
// candidates for the two. The text is repeated as by KVzip.
TEST(CountedCost, AttentionMatchingRepeatsTheTextAndFitsKeysAndValues) {
  const double m = 3 * 21;
  const double bos = m * 4 * 1, whole = m * 4 * 9 + m * 9 * 4 + 1 * m * 9;
  const double candidates = m * 4 * 6, gram = 6 * m * 6, targets = (4 + 1) * m * 6;
  const double bias = m * 4 * 2 + 2 * m * 2 + 2 * m * 1, direction = 4 * m * 4 + 4 * m * 1;
  const double read = m * 4 * 2 + m * 2 * 4, values = 2 * m * 2 + 2 * m * 4;
  const double head = bos + whole + candidates + gram + targets + bias + direction + read + values;
  EXPECT_EQ(flops_of(odd_model(), attention_matching(3, 1, 2), 9),
            flops_of(odd_model(), kvzip(3, 1, 2), 9) + 2 * 2 * head);
}

// Two prompt tokens and ten repeated ones attend to these twelve and to the ten of the text.
TEST(CountedCost, KvzipRepeatsTheTextOverItsCache) {
  const CompressorShape shape = kvzip(3, 1, 2);
  const double projections = 12 * 10 * 24 + 12 * 10 * 8 + 12 * 10 * 8 + 12 * 24 * 10;
  const double attention = 6 * (12 * 22 * 4) + 6 * (12 * 22 * 4), mlp = 3 * (12 * 10 * 14);
  const double scores = 6 * (12 * 22 * 4);
  EXPECT_EQ(flops_of(odd_model(), shape, 9),
            pass_of(odd_model(), 10) + 2 * (projections + attention + mlp + scores));
}

TEST(CountedCost, KvzipRepeatsLongTextsInChunks) {
  const CompressorShape shape = kvzip(3, 0, 5);
  const auto chunk = [](double rows) {
    const double keys = 2049 + rows;
    return 2 * rows * (2 * 10 * 24 + 2 * 10 * 8 + 3 * 10 * 14) + 2 * (3 * 6 * (rows * keys * 4));
  };
  EXPECT_EQ(flops_of(odd_model(), shape, 2049),
            pass_of(odd_model(), 2049) + chunk(5 + 2048) + chunk(5 + 1));
}

TEST(CountedCost, SelectedTokensNeedNoPrefill) {
  for (const CompressorShape& shape : {attention_matching(3, 1), kvzip(3, 1)}) {
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

// One head of a block: t of n tokens are kept for m queries, selected among c candidates by `some`
// of the queries.
double fitted_block(double m, double n, double t, double c, double some) {
  const double whole = 2 * (m * 4 * n) + m * n;
  const double selection = some * 4 * c + some * c * c + some * c * 5;
  const double bias = m * 4 * t + m * t * t + m * t, direction = m * 4 * 4 + m * 4;
  const double values = 2 * (m * 4 * t) + m * t * t + m * t * 4;
  return whole + selection + bias + direction + values;
}

// 2049 tokens are fitted in three blocks, which keep 170, 170 and 171. Three heads have 682 queries
// each of either pass, since 2048 is the limit of all; every seventh query is used for the
// selection.
TEST(CountedCost, LongTextsAreFittedInBlocks) {
  const double m = 3 * 2 * 682, first = m * 4 * 1, masses = m * 4 * 2049;
  const double head = first + masses + 2 * fitted_block(m, 683, 170, 3 * 170, 585) +
                      fitted_block(m, 683, 171, 3 * 171, 585);
  const double ratio = 2050.0 / 512;
  EXPECT_EQ(flops_of(odd_model(), attention_matching(ratio), 2050),
            flops_of(odd_model(), kvzip(ratio), 2050) + 2 * 2 * head);
}

// At a ratio of two all 800 tokens after the first are candidates, and every fifth query is used.
TEST(CountedCost, ManyCandidatesNeedAsManyQueries) {
  const double m = 3 * 2 * 682, first = m * 4 * 1;
  const double head = first + fitted_block(m, 800, 399, 800, 818);
  EXPECT_EQ(flops_of(odd_model(), attention_matching(2), 801),
            flops_of(odd_model(), kvzip(2), 801) + 2 * 2 * head);
}

// In a layer with a window of six, the next token attends to five tokens: the first of them is
// kept, and two of the other four. The text is repeated outside the window, so its queries there
// are not used.
TEST(CountedCost, LayersWithAWindowFitWhatIsStillVisible) {
  DecoderConfig model = odd_model();
  model.window = 6;
  model.windowed = {true};
  const double m = 3 * 4, first = m * 4 * 1;
  const double head = first + fitted_block(m, 4, 2, 4, m);
  const double repeated = flops_of(model, kvzip(3), 9);
  EXPECT_EQ(flops_of(model, attention_matching(3), 9), repeated + 2 * 2 * head);
  model.window = 4;  // all three visible tokens are kept
  EXPECT_EQ(flops_of(model, attention_matching(3), 9), flops_of(model, kvzip(3), 9));
}

TEST(CountedCost, AtARatioOfOneNothingIsFitted) {
  for (const CompressorShape& shape : {attention_matching(1, 1), kvzip(1, 1)}) {
    const CompressionCost cost = compression_cost(odd_model(), shape, 9, kBFloat16Bytes);
    EXPECT_EQ(cost.memory_tokens, 10);
    EXPECT_EQ(cost.compress_flops, pass_of(odd_model(), 10));
  }
}

TEST(LongestChunk, FitsTheWindow) {
  DecoderConfig model = odd_model();
  const auto longest = [&](const std::string& method, const CompressorSettings& settings) {
    return find_compressor_method(method)->sizing->plan(settings, model, nullptr).max_segment;
  };
  const CompressorSettings bos{{"rows_before", 1}},
      prompted{{"rows_before", 1}, {"repeat_rows", 10}};
  model.context_length = 8192;
  EXPECT_EQ(longest("attention_matching", bos), 8192 - 256 - 1);
  EXPECT_EQ(longest("kvzip", prompted), 8192 - 10 - 256 - 1);
  model.context_length = 512;  // half of it for the text, half to repeat it
  EXPECT_EQ(longest("kvzip", prompted), (512 - 10) / 2 - 1);
  EXPECT_EQ(longest("kvzip", kvzip(3).sizes), 4096);
}

// Long texts

TEST(DividedCost, IsTheSumOfTheChunks) {
  for (const CompressorShape& shape : {kIcae, kIcFormer}) {
    const auto of = [&](int64_t length) { return cost_of("llama-2-7b", shape, length); };
    EXPECT_EQ(of(513).compress_flops, of(257).compress_flops + of(256).compress_flops);
    EXPECT_EQ(of(513).adapter_flops, of(257).adapter_flops + of(256).adapter_flops);
    EXPECT_EQ(of(513).memory_tokens, 256);
    EXPECT_EQ(of(513).parameters, of(256).parameters);
    EXPECT_EQ(of(5 * 512).compress_flops, 5 * of(512).compress_flops);
  }
}

TEST(DividedCost, SelfCpRoundsTheTagsOfEachChunk) {
  EXPECT_EQ(cost_of("llama-2-7b", kSelfCp, 1000).memory_tokens, 500 / 12 + 500 / 12);
  EXPECT_EQ(cost_of("llama-2-7b", kSelfCp, 5).memory_tokens, 1);
}

TEST(DividedCost, BuiltInCompressorsReadAsMuchAsTheWindowHolds) {
  DecoderConfig model = odd_model();
  model.context_length = 101;
  constexpr int64_t max_segment = 49;
  for (const char* method : {"attention_matching", "kvzip"}) {
    const CompressorShape whole{method, {{"ratio", 12.0}, {"rows_before", 1}}};
    CompressorShape chunks = whole;
    chunks.sizes["max_segment"] = max_segment;
    const int64_t length = 2 * max_segment;
    EXPECT_EQ(flops_of(model, whole, length), 2 * flops_of(model, chunks, length / 2));
    EXPECT_EQ(compression_cost(model, whole, length, kBFloat16Bytes).memory_tokens,
              2 * (max_segment / 12));
  }
}

TEST(DividedCost, GistingDoesNotDivide) {
  cost_of("llama-2-7b", kGisting, 512);
  expect_error(
      ErrorKind::kInvalidArgument, "limit of 512", [] { cost_of("llama-2-7b", kGisting, 513); });
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
    refuse(kIcae, length, "length is " + std::to_string(length));
    expect_error(ErrorKind::kInvalidArgument, "length", [&] { context_cost(model, length, 2); });
  }
  expect_error(ErrorKind::kInvalidArgument, "elements", [&] { context_cost(model, 5, 0); });
  refuse({"selfcp", {{"ratio", 0.5}}}, 10, "ratio");
  refuse({"selfcp", {{"ratio", std::numeric_limits<double>::quiet_NaN()}}}, 10, "ratio");
  refuse({"selfcp", {{"max_segment", 0}}}, 10, "max_segment");
  refuse({"icae", {{"slots", 0}}}, 10, "slots");
  refuse({"icae", {{"rank", 0}}}, 10, "rank");
  refuse({"gisting", {{"num_gists", 0}}}, 10, "num_gists");
  refuse({"ic_former", {{"num_layers", 0}}}, 10, "num_layers");
  refuse({"ic_former", {{"ffn_size", -1}}}, 10, "ffn_size");
  refuse({"kvzip", {{"ratio", 0.5}}}, 10, "ratio");
  refuse({"kvzip", {{"max_segment", -1}}}, 10, "max_segment");
  refuse({"kvzip", {{"rows_before", -1}}}, 10, "rows_before");
  refuse({"kvzip", {{"repeat_rows", -1}}}, 10, "repeat_rows");
  for (const char* method : {"attention_matching", "kvzip"}) {
    expect_error(ErrorKind::kInvalidArgument, "window of 0 holds no text", [&] {
      DecoderConfig none = odd_model();
      none.context_length = 0;
      compression_cost(none, {method, {}}, 10, kBFloat16Bytes);
    });
  }
}

TEST(BadCost, UnknownSizesAreNamed) {
  const auto refuse = [&](const CompressorShape& shape, const std::string& message) {
    expect_error(ErrorKind::kInvalidArgument, message, [&] {
      compression_cost(odd_model(), shape, 10, kBFloat16Bytes);
    });
  };
  refuse({"icae", {{"slot", 4}}}, "there is no setting \"slot\"");
  refuse({"icae", {{"slots", "four"}}}, "slots is of another type, expected an integer");
  refuse({"icae", {{"slots", 4.0}}}, "slots is of another type, expected an integer");
  refuse({"selfcp", {{"ratio", true}}}, "ratio is of another type, expected a number");
  refuse({"selfcp", {{"separator", 3}}}, "separator is of another type, expected true or false");
  refuse({"gisting", {{"form", "thawed"}}}, "form is \"thawed\", expected tuned or frozen");
  refuse({"gisting", {{"gist_positions", "spread"}}}, "spread gists are of the frozen form");
}

TEST(BadCost, AnUnknownMethodIsNamed) {
  expect_error(ErrorKind::kUnsupported, "\"magic\" compute is not known", [] {
    cost_of("llama-2-7b", {"magic"}, 512);
  });
}

TEST(BadCost, AModelWithoutHeadsIsNamed) {
  DecoderConfig model = odd_model();
  model.num_kv_heads = 0;
  expect_error(ErrorKind::kInvalidArgument, "6 heads over 0", [&] {
    compression_cost(model, attention_matching(4), 10, kBFloat16Bytes);
  });
}

TEST(BadCost, OverflowIsRefused) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  for (const CompressorShape& shape :
       {CompressorShape{"kvzip", {{"max_segment", 9}, {"rows_before", kHuge}}},
        CompressorShape{"kvzip", {{"max_segment", 9}, {"repeat_rows", kHuge}}},
        CompressorShape{"kvzip", {{"rows_before", kHuge}, {"repeat_rows", kHuge}}}}) {
    expect_error(ErrorKind::kInvalidArgument, "expected at most", [&] {
      compression_cost(odd_model(), shape, 10, kBFloat16Bytes);
    });
  }
  for (const CompressorShape& shape : {CompressorShape{"icae", {{"slots", kHuge}}},
                                       CompressorShape{"gisting", {{"num_gists", kHuge}}},
                                       CompressorShape{"ic_former", {{"num_layers", kHuge}}}}) {
    expect_error(ErrorKind::kInvalidArgument, "more than can be counted", [&] {
      compression_cost(odd_model(), shape, 10, kBFloat16Bytes);
    });
  }
}

}  // namespace
}  // namespace precis
