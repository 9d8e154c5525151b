// SPDX-License-Identifier: Apache-2.0
// Compressors without weights, loaded by name: sizes of their memories, which tokens are kept, and
// errors. selection_golden_test.cc tests which tokens are selected and how they are fitted.
#include "support/built_in.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gisting_fixture.h"
#include "memory/ragged.h"
#include "precis/extend/registry.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_llama.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

CompressOptions at_ratio(double ratio, MemoryPositions positions = MemoryPositions::kText) {
  CompressOptions options;
  options.ratio = ratio;
  options.positions = positions;
  return options;
}

CachedTokens memory_of(const Segment& segment,
                       const Compressor& compressor,
                       const CompressOptions& options = {}) {
  return cached_of(compressor.compress({&segment, 1}, options).front());
}

// Keys and values of all tokens as the model caches them.
CachedTokens cache_of(const std::vector<TokenId>& ids, const Decoder& decoder) {
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  const int64_t n = std::ssize(ids);
  decoder.forward({decoder.embed(at::tensor(ids, at::kLong)), at::arange(n), {0, n}, {0}}, cache);
  std::vector<at::Tensor> keys, values;
  for (int64_t layer = 0; layer < decoder.config().num_layers; ++layer) {
    const auto [k, v] = cache.rows(layer, 0, 0, n);
    keys.push_back(k);
    values.push_back(v);
  }
  return {at::stack(keys), at::stack(values), 0, n};
}

// The same memory in the ragged form: [tokens of all heads, head_dim] and lengths.
CachedTokens ragged(CachedTokens memory) {
  if (memory.is_ragged()) return memory;
  memory.lengths = at::full(memory.keys.sizes().slice(0, 2), memory.keys.size(2), at::kLong);
  memory.keys = memory.keys.flatten(0, 2);
  memory.values = memory.values.flatten(0, 2);
  return memory;
}

// Keys or values of one head, [tokens, head_dim].
at::Tensor head_of(const at::Tensor& tokens, const at::Tensor& lengths, int64_t head) {
  const std::vector<int64_t> starts = head_starts(lengths);
  return tokens.narrow(0, starts[head], starts[head + 1] - starts[head]);
}

void expect_same_rows(const CachedTokens& actual, const CachedTokens& expected) {
  EXPECT_TRUE(at::equal(actual.keys, expected.keys));
  EXPECT_TRUE(at::equal(actual.values, expected.values));
}

// Hidden states of a text that follows a memory.
at::Tensor read_after(const CachedTokens& memory,
                      const std::vector<TokenId>& ids,
                      const Decoder& decoder) {
  return read(splice(std::vector{memory_item(memory), text_item(ids)}, decoder), decoder);
}

// Sets at::get_num_threads() for its lifetime.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

class BuiltIn : public testing::TestWithParam<std::string> {
 protected:
  BuiltIn() : decoder(load_model("llama", at::kFloat)), compressor(make(*decoder)) {}

  static std::unique_ptr<Compressor> make(const Decoder& decoder) {
    return load_compressor(GetParam(), decoder);
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

std::string name_of(const testing::TestParamInfo<std::string>& test) { return test.param; }

INSTANTIATE_TEST_SUITE_P(Methods, BuiltIn, testing::Values("attention_matching", "kvzip"), name_of);

TEST_P(BuiltIn, IsLoadedByName) {
  const CompressorInfo info = compressor->info();
  EXPECT_EQ(info.method, GetParam());
  EXPECT_EQ(info.ratio, 4);
  EXPECT_TRUE(info.any_ratio);
  EXPECT_TRUE(info.cached);
  EXPECT_TRUE(info.divides);
  EXPECT_EQ(info.num_parameters, 0);
  // The model's window of 512 has to hold the text and 256 tokens of it once more.
  EXPECT_EQ(info.max_segment, 256);
}

// Which tokens are kept

TEST_P(BuiltIn, AMemoryIsTheSameAloneAndBesideOthers) {
  const std::vector<Segment> segments{segment_of(40), segment_of(7, 9), segment_of(90, 11)};
  const auto together = compressor->compress(segments, {});
  ASSERT_EQ(together.size(), 3u);
  for (size_t i = 0; i < segments.size(); ++i)
    expect_same_rows(cached_of(together[i]), memory_of(segments[i], *compressor));
}

TEST_P(BuiltIn, AMemoryIsTheSameOnOneThreadAndOnTwo) {
  const auto memory_on = [&](int threads) {
    const Threads changed(threads);
    return memory_of(segment_of(200), *compressor);
  };
  expect_alike(memory_on(2), memory_on(1), 1e-5);
}

TEST_P(BuiltIn, ARatioOfOneKeepsTheWholeCacheUnchanged) {
  for (const char* model : {"llama", "mistral_window", "gemma3_text"}) {
    SCOPED_TRACE(model);
    const auto other = load_model(model, at::kFloat);
    const Segment segment = segment_of(33);
    for (const MemoryPositions positions : {MemoryPositions::kText, MemoryPositions::kRows}) {
      const CachedTokens memory = memory_of(segment, *make(*other), at_ratio(1, positions));
      expect_same_rows(memory, cache_of(segment.tokens, *other));
      EXPECT_EQ(memory.first_position, 0);
      EXPECT_EQ(memory.next_position, 33);
      EXPECT_EQ(memory.num_sinks, 1);
    }
  }
}

TEST_P(BuiltIn, AHighRatioKeepsTheSinkAndOneToken) {
  const Segment segment = segment_of(20);
  const CachedTokens memory = memory_of(segment, *compressor, at_ratio(100));
  EXPECT_EQ(memory.num_tokens(), 2);
  EXPECT_EQ(memory.num_sinks, 1);
  EXPECT_EQ(memory.next_position, 20);
  const CachedTokens whole = cache_of(segment.tokens, *decoder);
  EXPECT_TRUE(at::equal(memory.keys.select(2, 0), whole.keys.select(2, 0)));
  EXPECT_TRUE(at::equal(memory.values.select(2, 0), whole.values.select(2, 0)));
}

TEST_P(BuiltIn, ATextOfOneTokenIsKept) {
  const CachedTokens memory = memory_of(segment_of(1), *compressor);
  expect_same_rows(memory, cache_of(segment_of(1).tokens, *decoder));
  EXPECT_EQ(memory.next_position, 1);
}

TEST_P(BuiltIn, ATextUpToTheWindowIsReadInOneChunk) {
  for (const auto& [length, rows] : std::vector<std::pair<int64_t, int64_t>>{
           {2, 2}, {3, 2}, {8, 2}, {11, 2}, {12, 3}, {63, 15}, {64, 16}, {255, 63}, {256, 64}}) {
    EXPECT_EQ(compressor->memory_size(length, {}), rows) << length;
    const CachedTokens memory = memory_of(segment_of(length), *compressor);
    EXPECT_EQ(memory.num_tokens(), rows) << length;
    EXPECT_EQ(memory.values.sizes(), memory.keys.sizes()) << length;
    EXPECT_TRUE(memory.keys.isfinite().all().item<bool>()) << length;
    EXPECT_TRUE(memory.values.isfinite().all().item<bool>()) << length;
  }
  const Segment longest = segment_of(compressor->info().max_segment);
  EXPECT_EQ(memory_of(longest, *compressor).num_tokens(), std::ssize(longest.tokens) / 4);
}

// KVzip does not change keys and values.
TEST(KvZip, KeepsKeysAndValuesUnchanged) {
  const c10::NoGradGuard no_grad;
  const auto decoder = load_model("llama", at::kFloat);
  const Segment segment = segment_of(60);
  const CachedTokens memory = memory_of(segment, *load_compressor("kvzip", *decoder), at_ratio(4));
  const CachedTokens whole = cache_of(segment.tokens, *decoder);
  ASSERT_EQ(memory.num_tokens(), 15);
  ASSERT_TRUE(memory.is_ragged());
  const CachedTokens all = ragged(whole);
  for (int64_t head = 0; head < memory.lengths.numel(); ++head) {
    const at::Tensor values = head_of(memory.values, memory.lengths, head);
    // [memory tokens, text tokens]
    const at::Tensor same =
        values.unsqueeze(1).eq(head_of(all.values, all.lengths, head).unsqueeze(0)).all(2);
    EXPECT_TRUE(same.any(1).all().item<bool>());
    const at::Tensor rows = same.to(at::kInt).argmax(1);
    EXPECT_TRUE(rows.diff().gt(0).all().item<bool>());
    EXPECT_EQ(rows[0].item<int64_t>(), 0);
    EXPECT_TRUE(at::equal(head_of(memory.keys, memory.lengths, head),
                          head_of(all.keys, all.lengths, head).index_select(0, rows)));
  }
}

// Long texts

TEST_P(BuiltIn, LongTextsAreReadInChunks) {
  CompressOptions options;
  options.segment = 16;  // chunks of 15, 15 and 13 tokens
  EXPECT_EQ(compressor->memory_size(43, options), 9);
  const CachedTokens memory = memory_of(segment_of(43), *compressor, options);
  EXPECT_EQ(memory.num_tokens(), 9);
  EXPECT_EQ(memory.first_position, 0);
  EXPECT_EQ(memory.next_position, 9);
  EXPECT_EQ(memory.num_sinks, 1);
  options.positions = MemoryPositions::kText;
  EXPECT_EQ(memory_of(segment_of(43), *compressor, options).next_position, 43);
}

TEST_P(BuiltIn, ATextLongerThanTheWindowIsReadInChunks) {
  const int64_t rows = 5 * 54 + 53;  // of five chunks of 217 tokens and one of 215
  EXPECT_EQ(compressor->memory_size(1300, {}), rows);
  const CachedTokens memory = memory_of(segment_of(1300), *compressor);
  EXPECT_EQ(memory.num_tokens(), rows);
  EXPECT_EQ(memory.next_position, rows);
}

// A later chunk is read with a sink of its own, which is then dropped.
TEST_P(BuiltIn, ChunksHaveConsecutivePositions) {
  const Segment whole = segment_of(30);
  const Segment first{{whole.tokens.begin(), whole.tokens.begin() + 15}, nullptr},
      second{{whole.tokens.begin() + 15, whole.tokens.end()}, nullptr};
  CompressOptions options = at_ratio(5);  // three tokens of each chunk
  options.segment = 15;
  const CachedTokens memory = memory_of(whole, *compressor, options);
  ASSERT_EQ(memory.num_tokens(), 6);
  EXPECT_EQ(memory.next_position, 30);
  const CachedTokens before = ragged(memory_of(first, *compressor, at_ratio(5)));
  const CachedTokens moved =
      rebase(memory_of(second, *compressor, at_ratio(3.75)), decoder->config(), 15);
  ASSERT_EQ(moved.num_tokens(), 4);
  const CachedTokens after = ragged(without_first(moved, 1));
  CachedTokens joined = ragged(memory);
  EXPECT_TRUE(at::equal(joined.lengths, before.lengths + after.lengths));
  const auto expect_joined =
      [&](const at::Tensor& actual, const at::Tensor& a, const at::Tensor& b) {
        const at::Tensor wanted = join_heads({a, b}, {before.lengths, after.lengths});
        EXPECT_LT(largest_difference(actual, wanted), 1e-5);
      };
  expect_joined(joined.keys, before.keys, after.keys);
  expect_joined(joined.values, before.values, after.values);
}

TEST_P(BuiltIn, AtARatioOfOneALongTextKeepsEveryToken) {
  CompressOptions options = at_ratio(1, MemoryPositions::kRows);
  options.segment = 15;
  const CachedTokens memory = memory_of(segment_of(43), *compressor, options);
  EXPECT_EQ(memory.num_tokens(), 43);
  EXPECT_EQ(memory.next_position, 43);
}

TEST_P(BuiltIn, BosIsReadBeforeEveryChunkAndKeptOnce) {
  const auto with_bos = make_built_in(GetParam(), {{1}, {}}, *decoder);
  CompressOptions options = at_ratio(2);
  options.segment = 4;
  const CachedTokens memory = memory_of(segment_of(8), *with_bos, options);
  EXPECT_EQ(memory.num_tokens(), 4);
  EXPECT_EQ(with_bos->memory_size(8, options), 4);
  EXPECT_EQ(memory.next_position, 9);
  const CachedTokens bos = cache_of({1}, *decoder);
  const CachedTokens all = ragged(memory), first = ragged(bos);
  for (int64_t head = 0; head < all.lengths.numel(); ++head)
    EXPECT_TRUE(at::equal(head_of(all.keys, all.lengths, head).narrow(0, 0, 1),
                          head_of(first.keys, first.lengths, head)));
  options = at_ratio(1);
  options.segment = 4;
  EXPECT_EQ(memory_of(segment_of(8), *with_bos, options).num_tokens(), 9);
}

// Reading the memory

TEST_P(BuiltIn, BothKindsOfPositionsGiveTheSameHiddenStates) {
  for (const char* model : {"llama", "llama3_rope", "gemma3_text"}) {
    const auto other = load_model(model, at::kFloat);
    const auto built_in = make(*other);
    const auto hidden = [&](MemoryPositions positions) {
      const CachedTokens memory = memory_of(segment_of(80), *built_in, at_ratio(4, positions));
      EXPECT_EQ(memory.next_position, positions == MemoryPositions::kText ? 80 : 20);
      return read_after(memory, {21, 22, 23}, *other);
    };
    EXPECT_LT(largest_difference(hidden(MemoryPositions::kRows), hidden(MemoryPositions::kText)),
              1e-3)
        << model;
  }
}

// All layers of this model have a window of 12 tokens, and 15 tokens are kept in each.
TEST_P(BuiltIn, InLayersWithAWindowVisibleTokensAreKept) {
  const auto windowed = load_model("mistral_window", at::kFloat);
  const auto built_in = make(*windowed);
  const Segment segment = segment_of(60);
  std::vector<TokenId> whole = segment.tokens;
  const std::vector<TokenId> rest{21, 22, 23, 24, 25, 26};
  whole.insert(whole.end(), rest.begin(), rest.end());
  const at::Tensor expected = read(splice(std::vector{text_item(whole)}, *windowed), *windowed);
  for (const MemoryPositions positions : {MemoryPositions::kText, MemoryPositions::kRows}) {
    const CachedTokens memory = memory_of(segment, *built_in, at_ratio(4, positions));
    ASSERT_EQ(memory.num_tokens(), 15);
    EXPECT_LT(largest_difference(read_after(memory, rest, *windowed), expected.narrow(0, 60, 6)),
              1e-3);
  }
}

// The token after the 60 of the text attends to the last 15 in layers with a window of 16.
TEST(KvZip, LayersWithAWindowKeepTokensVisibleAfterTheText) {
  const c10::NoGradGuard no_grad;
  const auto decoder = load_model("gemma3_text", at::kFloat);
  const Segment segment = segment_of(60);
  const CachedTokens memory = memory_of(segment, *load_compressor("kvzip", *decoder), at_ratio(12));
  const CachedTokens whole = cache_of(segment.tokens, *decoder);
  ASSERT_EQ(memory.num_tokens(), 5);
  for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer) {
    const at::Tensor same =
        memory.values[layer].unsqueeze(2).eq(whole.values[layer].unsqueeze(1)).all(3);
    EXPECT_TRUE(same.any(2).all().item<bool>()) << layer;
    const int64_t first = decoder->config().windowed[layer] ? 45 : 0;
    EXPECT_EQ(same.to(at::kInt).argmax(2).min().item<int64_t>(), first) << layer;
  }
}

TEST_P(BuiltIn, ALayerWithAWindowWorksForALongText) {
  const auto windowed = load_model("gemma3_text", at::kFloat);
  const auto built_in = make(*windowed);
  for (const double ratio : {1.5, 4.0, 12.0, 100.0}) {
    const CachedTokens memory = memory_of(segment_of(120), *built_in, at_ratio(ratio));
    EXPECT_EQ(memory.num_tokens(), built_in->memory_size(120, at_ratio(ratio))) << ratio;
    EXPECT_EQ(memory.next_position, 120);
    EXPECT_TRUE(read_after(memory, {21, 22}, *windowed).isfinite().all().item<bool>()) << ratio;
  }
}

// Progress

TEST_P(BuiltIn, ReportsProgressOverAllChunks) {
  const std::vector<Segment> segments{segment_of(43), segment_of(20, 9)};
  std::vector<double> reported;
  CompressOptions options;
  options.segment = 16;  // three chunks and two
  options.progress = [&](double done) {
    reported.push_back(done);
    return true;
  };
  compressor->compress(segments, options);
  EXPECT_GE(reported.size(), 5u * 3);  // after every layer of every chunk
  EXPECT_TRUE(std::ranges::is_sorted(reported));
  EXPECT_GT(reported.front(), 0);
  EXPECT_EQ(reported.back(), 1);
}

TEST_P(BuiltIn, CanBeCancelledAtEveryReport) {
  const Segment segment = segment_of(43);
  for (int calls = 1; calls <= 10; ++calls) {
    int reported = 0;
    CompressOptions options;
    options.segment = 16;
    options.progress = [&](double) { return ++reported < calls; };
    expect_error(ErrorKind::kCancelled, "cancelled", [&] {
      compressor->compress({&segment, 1}, options);
    });
    EXPECT_EQ(reported, calls);
  }
  EXPECT_EQ(memory_of(segment, *compressor).num_tokens(), 10);
}

// Errors

TEST_P(BuiltIn, ImpossibleRatiosAreRefused) {
  const Segment segment = segment_of(10);
  for (const double ratio : {0.5,
                             0.0,
                             -4.0,
                             std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity()}) {
    const CompressOptions options = at_ratio(ratio);
    expect_error(ErrorKind::kInvalidArgument, GetParam() + ": ratio is ", [&] {
      compressor->compress({&segment, 1}, options);
    });
    expect_error(ErrorKind::kInvalidArgument, GetParam() + ": ratio is ", [&] {
      compressor->memory_size(10, options);
    });
  }
}

TEST_P(BuiltIn, DamagedWeightsOfTheModelAreNamed) {
  const TemporaryDirectory directory;
  for (const char* damaged : {"k_proj", "v_proj"}) {
    const fs::path model = directory / damaged;
    TensorMap tensors = random_llama(96, 1);
    tensors[std::string("model.layers.1.self_attn.") + damaged + ".weight"][3][5] =
        std::numeric_limits<float>::quiet_NaN();
    write_llama(model, tensors, model / "no tokenizer");
    const auto other = load_decoder(model, at::kFloat);
    const auto built_in = make(*other);
    const Segment segment = segment_of(20);
    for (const double ratio : {1.0, 4.0}) {
      expect_error(ErrorKind::kBadWeights, GetParam() + ": the model's ", [&] {
        built_in->compress({&segment, 1}, at_ratio(ratio));
      });
    }
  }
}

// A decoder from outside the library that ignores the last argument of forward().
class Unobserved final : public Decoder {
 public:
  explicit Unobserved(const Decoder& decoder) : decoder_(decoder) {}

  const DecoderConfig& config() const override { return decoder_.config(); }
  c10::TensorOptions options() const override { return decoder_.options(); }
  at::Tensor embed(const at::Tensor& tokens) const override { return decoder_.embed(tokens); }
  at::Tensor forward(const DecoderInput& input,
                     KvCache& cache,
                     const Adapter* adapter,
                     const LayerObserver*) const override {
    return decoder_.forward(input, cache, adapter);
  }
  at::Tensor logits(const at::Tensor& hidden) const override { return decoder_.logits(hidden); }
  const std::string& fingerprint() const override { return decoder_.fingerprint(); }
  int64_t num_parameters() const override { return decoder_.num_parameters(); }
  int64_t weight_bytes() const override { return decoder_.weight_bytes(); }

 private:
  const Decoder& decoder_;
};

TEST_P(BuiltIn, ADecoderThatCallsNoObserverIsRefused) {
  const Unobserved unobserved(*decoder);
  const auto built_in = make(unobserved);
  const Segment segment = segment_of(20);
  expect_error(ErrorKind::kUnsupported, "Decoder::forward has to call its observer", [&] {
    built_in->compress({&segment, 1}, {});
  });
  expect_error(ErrorKind::kUnsupported, GetParam(), [&] { built_in->compress({&segment, 1}, {}); });
}

TEST_P(BuiltIn, HasNoTemplateForReconstruction) {
  expect_error(ErrorKind::kUnsupported,
               GetParam() + ": it is not trained to say a text again",
               [&] { compressor->memory_template(MemoryUse::kAutoencode); });
  for (const MemoryUse use : {MemoryUse::kContinue, MemoryUse::kInstruct}) {
    const MemoryTemplate around = compressor->memory_template(use);
    EXPECT_TRUE(around.before.empty() && around.after.empty() && around.end.empty());
  }
}

TEST_P(BuiltIn, IdsOfItsDirectoryOutsideTheVocabularyAreRefused) {
  for (const char* key : {"bos", "repeat"}) {
    const TemporaryDirectory directory;
    compressor->save(directory.path());
    damage_json(directory / "compressor.json",
                [&](nlohmann::json& config) { config[key] = nlohmann::json::array({320}); });
    expect_error(ErrorKind::kBadWeights, "id 320 is outside the model's vocabulary of 320", [&] {
      load_compressor(directory.path(), *decoder);
    });
  }
}

TEST_P(BuiltIn, FingerprintDependsOnPrompts) {
  const auto fingerprint = [&](SelectionPrompts prompts) {
    return make_built_in(GetParam(), std::move(prompts), *decoder)->info().fingerprint;
  };
  EXPECT_EQ(fingerprint({}), compressor->info().fingerprint);
  EXPECT_NE(fingerprint({{1}, {}}), fingerprint({}));
  EXPECT_NE(fingerprint({{}, {7, 8}}), fingerprint({}));
}

// Names

TEST(BuiltInNames, AreAttentionMatchingAndKvzip) {
  EXPECT_EQ(built_in_compressors(), (std::vector<std::string>{"attention_matching", "kvzip"}));
  EXPECT_STREQ(kDefaultCompressor, "attention_matching");
}

TEST(BuiltInNames, AMisspeltNameListsTheKnownOnes) {
  const auto decoder = load_model("llama", at::kFloat);
  for (const char* message : {"kvzap: no such directory",
                              "attention_matching",
                              "kvzip",
                              "a directory with compressor.json works too"}) {
    expect_error(ErrorKind::kNotFound, message, [&] { load_compressor("kvzap", *decoder); });
  }
}

// Changes the working directory for its lifetime.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const fs::path& path) : before_(fs::current_path()) {
    fs::current_path(path);
  }
  ~WorkingDirectory() { fs::current_path(before_); }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;

 private:
  fs::path before_;
};

TEST(BuiltInNames, TakePrecedenceOverDirectories) {
  const auto decoder = load_model("llama", at::kFloat);
  const TemporaryDirectory directory;
  load_compressor("attention_matching", *decoder)->save(directory / "kvzip");
  const WorkingDirectory inside(directory.path());
  EXPECT_EQ(load_compressor("kvzip", *decoder)->info().method, "kvzip");
  EXPECT_EQ(load_compressor("./kvzip", *decoder)->info().method, "attention_matching");
}

}  // namespace
}  // namespace precis
