// SPDX-License-Identifier: Apache-2.0
// ICAE against a restatement of its specification in PyTorch (golden/make_icae_golden.py):
// memories, hidden states of the frozen model that reads them in every use, the losses and their
// gradients; and other properties of ICAE.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "compressors/icae/icae.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "precis/extend/cost.h"
#include "precis/extend/load_decoder.h"
#include "support/compressor_directory_test.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(PRECIS_TEST_GOLDEN_DIR) / "icae";
using Ids = std::vector<TokenId>;

// Relative to the largest element. The same for float64: the rotary table is float32, and cosines
// that differ in the last bit between processors change gradients by up to 3e-5.
constexpr double kTolerance = 1e-4;

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  const nlohmann::json cases = read_json(kGolden / "cases.json");
  for (const auto& [name, ignored] : cases.items()) names.push_back(name);
  return names;
}

std::unique_ptr<Decoder> load_frozen(const std::string& model, c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  return load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / model, dtype);
}

double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-3)).item<double>();
}

IcaeConfig config_of(const nlohmann::json& json) {
  IcaeConfig config;
  config.slots = json.at("slots");
  config.max_segment = json.at("max_segment");
  config.rank = json.at("rank");
  config.alpha = json.at("alpha");
  config.connector = json.at("connector");
  config.instruct = {
      json.at("before"), json.at("mark_after_prompt"), json.at("end"), {json.at("end_of_answer")}};
  return config;
}

IcaeWeights weights_of(const std::string& compressor,
                       const IcaeConfig& config,
                       const DecoderConfig& model) {
  const Weights source(safetensors_file_weights(kGolden / (compressor + ".safetensors")),
                       at::kFloat);
  const int64_t hidden = model.hidden_size, rank = config.rank;
  IcaeWeights weights;
  weights.memory_embeddings = source.take("memory_embeddings", {config.slots + 3, hidden});
  for (int64_t i = 0; i < model.num_layers; ++i) {
    const Weights stored = source.scope(concat("layers.", i));
    AdapterLayer layer;
    layer.query.down = stored.take("q.down", {rank, hidden});
    layer.query.up = stored.take("q.up", {model.num_heads * model.head_dim, rank});
    layer.value.down = stored.take("v.down", {rank, hidden});
    layer.value.up = stored.take("v.up", {model.num_kv_heads * model.head_dim, rank});
    weights.adapter.layers.push_back(layer);
  }
  if (!config.connector) return weights;
  weights.connector.weight = source.take("connector.weight", {hidden, hidden});
  weights.connector.bias = source.take("connector.bias", {hidden});
  weights.connector.norm_weight = source.take("norm.weight", {hidden});
  weights.connector.norm_bias = source.take("norm.bias", {hidden});
  return weights;
}

std::unique_ptr<Compressor> make_golden(const nlohmann::json& json, const Decoder& decoder) {
  const IcaeConfig config = config_of(json);
  return make_icae(config, weights_of(json.at("compressor"), config, decoder.config()), decoder);
}

at::Tensor rows_of(const MemoryTensors& memory) { return std::get<SoftTokens>(memory).embeddings; }

// A use of a memory and its name in the golden file.
struct Use {
  std::string name;
  MemoryUse use;
};
const Use kUses[] = {{"autoencode", MemoryUse::kAutoencode},
                     {"continue", MemoryUse::kContinue},
                     {"instruct", MemoryUse::kInstruct}};

class IcaeGolden : public testing::TestWithParam<std::string> {
 protected:
  IcaeGolden()
      : expected(SafetensorsFile::open(kGolden / "expected.safetensors")),
        json(read_json(kGolden / "cases.json").at(GetParam())) {}

  void load(c10::ScalarType dtype) {
    decoder = load_frozen(json.at("model"), dtype);
    compressor = make_golden(json, *decoder);
  }

  at::Tensor wanted(const std::string& name) const {
    return to_tensor(*expected.find(GetParam() + "." + name));
  }

  MemoryTensors compress() const {
    const Segment segment{json.at("text"), nullptr};
    return compressor->compress({&segment, 1}, {})[0];
  }

  // The ids to predict after memory and template.
  Ids targets_of(MemoryUse use) const {
    if (use == MemoryUse::kContinue) return json.at("continuation");
    Ids targets = json.at(use == MemoryUse::kAutoencode ? "text" : "answer");
    targets.push_back(json.at("end_of_answer"));
    return targets;
  }

  // Hidden states that predict the targets, as in the trainer.
  PredictedBatch predict(MemoryUse use) const {
    TrainingExample example{{json.at("text"), nullptr}, targets_of(use), use};
    if (use == MemoryUse::kInstruct) example.prompt = json.at("prompt").get<Ids>();
    return precis::predict(*decoder, *compressor, {&example, 1}, {});
  }

  SafetensorsFile expected;
  nlohmann::json json;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_P(IcaeGolden, MemoriesAgreeInFloat32) {
  load(at::kFloat);
  const c10::NoGradGuard no_grad;
  EXPECT_LT(largest_difference(rows_of(compress()).to(at::kDouble), wanted("slots")), kTolerance);
}

TEST_P(IcaeGolden, MemoriesAgreeInFloat64) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  EXPECT_LT(largest_difference(rows_of(compress()), wanted("slots")), kTolerance);
}

TEST_P(IcaeGolden, HiddenStatesOfTheFrozenModelAgreeInEveryUse) {
  load(at::kFloat);
  const c10::NoGradGuard no_grad;
  for (const Use& use : kUses) {
    const at::Tensor first = predict(use.use).hidden.narrow(0, 0, 1);
    const at::Tensor logits = decoder->logits(first).squeeze(0).to(at::kDouble);
    EXPECT_LT(largest_difference(logits, wanted(use.name + ".logits")), kTolerance) << use.name;
  }
}

TEST_P(IcaeGolden, LossesAndGradientsAgreeInEveryUse) {
  load(at::kDouble);
  for (const NamedTensor& named : compressor->parameters()) named.tensor.requires_grad_(true);
  for (const Use& use : kUses) {
    for (const NamedTensor& named : compressor->parameters()) named.tensor.mutable_grad().reset();
    const double loss = cross_entropy(*decoder, predict(use.use), /*backward=*/true);
    EXPECT_NEAR(loss, wanted(use.name + ".loss").item<double>(), kTolerance * loss);
    for (const NamedTensor& named : compressor->parameters()) {
      const at::Tensor gradient = wanted(use.name + ".gradient." + named.name);
      EXPECT_LT(largest_difference(named.tensor.grad(), gradient), kTolerance)
          << use.name << " " << named.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, IcaeGolden, testing::ValuesIn(case_names()), [](const auto& test) {
  return test.param;
});

Segment segment_of(int64_t size, int64_t first = 5) {
  Segment segment;
  for (int64_t i = 0; i < size; ++i) segment.tokens.push_back(first + (i * 37) % 300);
  return segment;
}

// Four slots for each sixteen tokens, over the tiny Llama.
class IcaeTest : public testing::Test {
 protected:
  IcaeTest()
      : decoder(load_frozen("llama", at::kFloat)),
        json(read_json(kGolden / "cases.json").at("llama_parts")),
        compressor(make_golden(json, *decoder)) {}

  at::Tensor compress(const Compressor& with,
                      const Segment& segment,
                      const CompressOptions& options = {}) const {
    return rows_of(with.compress({&segment, 1}, options)[0]);
  }
  at::Tensor compress(const Segment& segment, const CompressOptions& options = {}) const {
    return compress(*compressor, segment, options);
  }

  std::unique_ptr<Compressor> make(const IcaeConfig& config) const {
    return make_icae(config, golden_weights(), *decoder);
  }
  IcaeWeights golden_weights() const {
    return weights_of("llama", config_of(json), decoder->config());
  }

  at::Tensor logits_of_a_text() const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    const at::Tensor ids = at::arange(5, 25);
    return decoder->logits(
        decoder->forward({decoder->embed(ids), at::arange(20), {0, 20}, {0}}, cache));
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  nlohmann::json json;
  std::unique_ptr<Compressor> compressor;
};

TEST_F(IcaeTest, EveryChunkBecomesTheSameNumberOfSlots) {
  EXPECT_EQ(compressor->info().slots, 4);
  EXPECT_DOUBLE_EQ(compressor->info().ratio, 4.0);
  EXPECT_FALSE(compressor->info().any_ratio);
  for (const auto& [tokens, slots] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 4}, {16, 4}, {17, 8}, {37, 12}}) {
    EXPECT_EQ(compressor->memory_size(tokens, {}), slots);
    EXPECT_EQ(compress(segment_of(tokens)).size(0), slots);
  }
  CompressOptions shorter;
  shorter.segment = 5;
  EXPECT_EQ(compressor->memory_size(11, shorter), 12);
  EXPECT_EQ(compress(segment_of(11), shorter).size(0), 12);
}

TEST_F(IcaeTest, ABatchOfRaggedSegmentsEqualsSingles) {
  const std::vector<Segment> segments{
      segment_of(37), segment_of(1, 9), segment_of(16, 11), segment_of(23, 13)};
  const auto batch = compressor->compress(segments, {});
  ASSERT_EQ(batch.size(), segments.size());
  for (size_t i = 0; i < segments.size(); ++i) {
    EXPECT_LT(largest_difference(rows_of(batch[i]), compress(segments[i])), kTolerance) << i;
  }
}

TEST_F(IcaeTest, ALongTextTakesSeveralPasses) {
  const Segment text = segment_of(4000);
  std::vector<double> reported;
  CompressOptions options;
  options.progress = [&](double done) {
    reported.push_back(done);
    return true;
  };
  const at::Tensor slots = compress(text, options);
  EXPECT_EQ(slots.size(0), 1000);
  EXPECT_GE(reported.size(), 2u);
  EXPECT_DOUBLE_EQ(reported.back(), 1.0);
  const Segment last{{text.tokens.end() - 16, text.tokens.end()}, nullptr};
  EXPECT_LT(largest_difference(slots.narrow(0, 996, 4), compress(last)), kTolerance);
}

// Ids before the text

TEST_F(IcaeTest, IdsBeforeTheTextAreItsFirstTokens) {
  for (const Ids& before : {Ids{1}, Ids{1, 2, 3}}) {
    IcaeConfig config = config_of(json);
    config.before_text = before;
    const auto with = make(config);
    for (const int64_t size : {1, 14, 15, 16, 31, 32, 37}) {
      const Segment text = segment_of(size);
      Segment whole = text;
      whole.tokens.insert(whole.tokens.begin(), before.begin(), before.end());
      const at::Tensor memory = compress(*with, text);
      EXPECT_TRUE(at::equal(memory, compress(whole))) << size;
      EXPECT_EQ(with->memory_size(size, {}), memory.size(0)) << size;
    }
  }
}

TEST_F(IcaeTest, IdsBeforeTheTextAreDividedWithIt) {
  IcaeConfig config = config_of(json);
  config.before_text = {1};
  const auto with = make(config);
  EXPECT_EQ(with->memory_size(15, {}), 4);
  EXPECT_EQ(with->memory_size(16, {}), 8);
  // 1 + 16 tokens: nine, then eight.
  const Segment text = segment_of(16);
  Segment first{{1}, nullptr}, second;
  first.tokens.insert(first.tokens.end(), text.tokens.begin(), text.tokens.begin() + 8);
  second.tokens.assign(text.tokens.begin() + 8, text.tokens.end());
  const at::Tensor chunks = at::cat({compress(first), compress(second)}, 0);
  EXPECT_LT(largest_difference(compress(*with, text), chunks), kTolerance);
  CompressOptions alone;
  alone.segment = 1;
  EXPECT_EQ(with->memory_size(2, alone), 12);
  EXPECT_EQ(compress(*with, segment_of(2), alone).size(0), 12);
}

TEST_F(IcaeTest, ATextThatBeginsWithThemDoesNotGetThemTwice) {
  IcaeConfig config = config_of(json);
  config.before_text = {1, 2};
  const auto with = make(config);
  for (const Ids& ids : {Ids{1, 2}, Ids{1, 2, 50, 60}}) {
    const Segment text{ids, nullptr};
    EXPECT_TRUE(at::equal(compress(*with, text), compress(text)));
  }
  const Segment half{{1, 50}, nullptr}, whole{{1, 2, 1, 50}, nullptr};
  EXPECT_TRUE(at::equal(compress(*with, half), compress(whole)));
  Segment segment = segment_of(16);
  segment.tokens[0] = 1, segment.tokens[1] = 2;
  EXPECT_EQ(compress(*with, segment).size(0), 4);
}

TEST_F(IcaeTest, IdsBeforeAnEmptyTextDoNotMakeItValid) {
  IcaeConfig config = config_of(json);
  config.before_text = {1};
  const auto with = make(config);
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { with->memory_size(0, {}); });
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { compress(*with, Segment{}); });
}

TEST_F(IcaeTest, CostsCountIdsBeforeTheText) {
  IcaeConfig config = config_of(json);
  config.before_text = {1, 2};
  const TemporaryDirectory directory;
  const auto with = make(config);
  with->save(directory.path());
  const CompressorShape shape = read_compressor_shape(directory.path());
  CompressorShape without = shape;
  without.sizes["rows_before"] = 0;
  const auto cost = [&](const CompressorShape& of, int64_t length) {
    return compression_cost(decoder->config(), of, length, 4);
  };
  for (const int64_t length : {1, 14, 15, 30, 31}) {
    EXPECT_EQ(cost(shape, length).memory_tokens, with->memory_size(length, {})) << length;
    EXPECT_EQ(cost(shape, length).compress_flops, cost(without, length + 2).compress_flops);
    EXPECT_EQ(cost(shape, length).full.kv_bytes, cost(without, length).full.kv_bytes);
  }
  for (const int64_t rows : {int64_t{-1}, INT64_MAX}) {
    CompressorShape bad = shape;
    bad.sizes["rows_before"] = rows;
    expect_error(ErrorKind::kInvalidArgument, "rows_before is", [&] { cost(bad, 5); });
  }
}

TEST_F(IcaeTest, TheAdapterDoesNotChangeTheModel) {
  const at::Tensor before = logits_of_a_text();
  compress(segment_of(40));
  EXPECT_TRUE(at::equal(before, logits_of_a_text()));
}

TEST_F(IcaeTest, UnsupportedOptionsAreRefused) {
  CompressOptions ratio, chained, recursive, longer;
  ratio.ratio = 4;
  chained.chaining = Chaining::kConcat;
  recursive.chaining = Chaining::kRecursive;
  longer.segment = 17;
  const std::vector<std::pair<CompressOptions, std::string>> refused{
      {ratio, "ratio"}, {chained, "chaining"}, {recursive, "chaining"}, {longer, "1 to 16"}};
  for (const auto& [options, message] : refused) {
    expect_error(ErrorKind::kInvalidArgument, message, [&] { compress(segment_of(8), options); });
    expect_error(
        ErrorKind::kInvalidArgument, message, [&] { compressor->memory_size(8, options); });
  }
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { compressor->memory_size(0, {}); });
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { compress(Segment{}); });
  expect_error(ErrorKind::kInvalidArgument, "id 320 is outside", [&] {
    compress(Segment{{5, 320}, nullptr});
  });
}

TEST_F(IcaeTest, ChunkAndSlotsHaveToFitTheWindow) {
  IcaeConfig config = config_of(json);
  config.max_segment = 10000;
  const auto wide = make(config);
  EXPECT_EQ(compress(*wide, segment_of(508)).size(0), 4);
  expect_error(
      ErrorKind::kInvalidArgument, "window of 512", [&] { compress(*wide, segment_of(509)); });
  config.before_text = {1};
  expect_error(ErrorKind::kInvalidArgument, "window of 512", [&] {
    compress(*make(config), segment_of(508));
  });
}

TEST_F(IcaeTest, TemplatesHaveTheTrainedMarks) {
  const at::Tensor rows = golden_weights().memory_embeddings;
  const auto is_mark = [&](const TemplateItem& item, int64_t index) {
    return at::equal(std::get<at::Tensor>(item), rows.narrow(0, 4 + index, 1));
  };
  const MemoryTemplate again = compressor->memory_template(MemoryUse::kAutoencode);
  ASSERT_EQ(again.after.size(), 1u);
  EXPECT_TRUE(is_mark(again.after[0], 0));
  const MemoryTemplate on = compressor->memory_template(MemoryUse::kContinue);
  ASSERT_EQ(on.after.size(), 1u);
  EXPECT_TRUE(is_mark(on.after[0], 1));
  EXPECT_TRUE(on.answer_ends.empty());
  IcaeConfig config = config_of(json);
  config.instruct = {{1, 2}, true, {3}, {6}};
  const MemoryTemplate answer = make(config)->memory_template(MemoryUse::kInstruct);
  ASSERT_EQ(answer.before.size(), 1u);
  EXPECT_EQ(std::get<Ids>(answer.before[0]), (Ids{1, 2}));
  ASSERT_EQ(answer.after.size(), 1u);
  EXPECT_TRUE(is_mark(answer.after[0], 2));
  ASSERT_EQ(answer.end.size(), 2u);
  EXPECT_TRUE(is_mark(answer.end[0], 2));
  EXPECT_EQ(std::get<Ids>(answer.end[1]), (Ids{3}));
  EXPECT_EQ(answer.answer_ends, (Ids{6}));
}

TEST_F(IcaeTest, WithoutAMarkAContinuationFollowsTheMemory) {
  IcaeConfig config = config_of(json);
  config.continuation_mark = false;
  EXPECT_TRUE(make(config)->memory_template(MemoryUse::kContinue).after.empty());
}

TEST_F(IcaeTest, ThePublishedTemplatesAreTwo) {
  const IcaeTemplate first = icae_template(IcaeGeneration::kLlama);
  EXPECT_TRUE(first.before.empty());
  EXPECT_TRUE(first.mark_after_prompt);
  EXPECT_EQ(first.answer_ends, (Ids{1}));
  const IcaeTemplate second = icae_template(IcaeGeneration::kMistral);
  EXPECT_EQ(second.before, (Ids{1, 733, 16289, 28793}));
  EXPECT_FALSE(second.mark_after_prompt);
  EXPECT_EQ(second.end, (Ids{733, 28748, 16289, 28793}));
  EXPECT_EQ(second.answer_ends, (Ids{2}));
  EXPECT_EQ(icae_before_text(IcaeGeneration::kLlama), (Ids{1}));
  EXPECT_EQ(icae_before_text(IcaeGeneration::kMistral), (Ids{1}));
  EXPECT_TRUE(icae_before_text(IcaeGeneration::kNone).empty());
  IcaeConfig config = config_of(json);
  config.instruct = second;
  expect_error(ErrorKind::kInvalidArgument, "id 733 is outside", [&] { make(config); });
}

TEST_F(IcaeTest, FingerprintsDependOnSettings) {
  const std::string fingerprint = compressor->info().fingerprint;
  IcaeConfig config = config_of(json);
  EXPECT_EQ(make(config)->info().fingerprint, fingerprint);
  config.alpha = 16;
  EXPECT_NE(make(config)->info().fingerprint, fingerprint);
  config.alpha = 32;
  config.max_segment = 15;
  EXPECT_NE(make(config)->info().fingerprint, fingerprint);
  config.max_segment = 16;
  config.before_text = {1};
  EXPECT_NE(make(config)->info().fingerprint, fingerprint);
  const std::string with_bos = make(config)->info().fingerprint;
  config.before_text = {};
  config.spread_positions = true;
  EXPECT_NE(make(config)->info().fingerprint, fingerprint);
  EXPECT_NE(make(config)->info().fingerprint, with_bos);
}

TEST_F(IcaeTest, WeightsOfAnotherShapeAreRefused) {
  const IcaeConfig config = config_of(json);
  const auto refuse = [&](const IcaeWeights& weights, const std::string& message) {
    expect_error(
        ErrorKind::kInvalidArgument, message, [&] { make_icae(config, weights, *decoder); });
  };
  IcaeWeights weights = golden_weights();
  weights.memory_embeddings = at::zeros({8, 32});
  refuse(weights, "memory_embeddings is [8, 32], expected [7, 32]");
  weights = golden_weights();
  weights.adapter.layers[1].value.up = at::Tensor();
  refuse(weights, "layers.1.v.up is missing");
  weights = golden_weights();
  weights.adapter.layers[0].key = weights.adapter.layers[0].value;
  refuse(weights, "changes keys");
  weights.adapter.layers.pop_back();
  refuse(weights, "has 2 layers, the model 3");
}

TEST_F(IcaeTest, SettingsOutOfRangeAreRefused) {
  const auto refuse = [&](const auto& change, const std::string& message) {
    IcaeConfig config = config_of(json);
    change(config);
    expect_error(ErrorKind::kInvalidArgument, message, [&] { make(config); });
    expect_error(ErrorKind::kInvalidArgument, message, [&] { create_icae(config, *decoder); });
  };
  refuse([](IcaeConfig& config) { config.slots = 0; }, "slots is 0");
  refuse([](IcaeConfig& config) { config.slots = 512; }, "slots is 512, expected 1 to 511");
  refuse([](IcaeConfig& config) { config.max_segment = 0; }, "max_segment is 0");
  refuse([](IcaeConfig& config) { config.rank = 0; }, "rank is 0");
  refuse([](IcaeConfig& config) { config.alpha = 0; }, "alpha is 0");
  refuse([](IcaeConfig& config) { config.alpha = INFINITY; }, "alpha is inf");
  refuse([](IcaeConfig& config) { config.before_text = {1, 320}; }, "id 320 is outside");
  refuse([](IcaeConfig& config) { config.instruct.end = {-1}; }, "id -1 is outside");
  refuse([](IcaeConfig& config) { config.instruct.answer_ends = {320}; }, "id 320 is outside");
}

// The frozen model's hidden states at four memory tokens, at `positions`, after a text of ten.
TEST_F(IcaeTest, ANewOneStartsAsTheFrozenModel) {
  IcaeConfig config = config_of(json);
  const Segment segment = segment_of(10);
  const auto expect_hidden_states = [&](std::vector<int64_t> positions) {
    const auto created = create_icae(config, *decoder);
    const at::Tensor rows = created->parameters()[0].tensor.narrow(0, 0, 4);
    const at::Tensor ids = at::tensor(segment.tokens, at::kLong);
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    const at::Tensor hidden =
        decoder->forward({at::cat({decoder->embed(ids), rows}, 0),
                          at::cat({at::arange(10), at::tensor(positions, at::kLong)}, 0),
                          {0, 14},
                          {0}},
                         cache);
    EXPECT_LT(largest_difference(compress(*created, segment), hidden.narrow(0, 10, 4)), kTolerance);
  };
  expect_hidden_states({10, 11, 12, 13});
  config.spread_positions = true;  // in the middles of 0 - 2.5, 2.5 - 5, 5 - 7.5 and 7.5 - 10
  expect_hidden_states({1, 3, 6, 8});
}

// Each chunk of a batch has its own positions.
TEST_F(IcaeTest, SpreadMemoryTokensInABatchEqualSingles) {
  IcaeConfig config = config_of(json);
  config.spread_positions = true;
  const auto spread = make(config);
  const std::vector<Segment> segments{segment_of(3), segment_of(16), segment_of(37)};
  const auto together = spread->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i) {
    EXPECT_LT(largest_difference(rows_of(together[i]), compress(*spread, segments[i])), kTolerance);
    EXPECT_GT(largest_difference(rows_of(together[i]), compress(segments[i])), kTolerance);
  }
}

TEST_F(IcaeTest, TheSameSeedGivesTheSameWeights) {
  IcaeConfig config = config_of(json);
  config.connector = true;
  const auto first = create_icae(config, *decoder), second = create_icae(config, *decoder);
  EXPECT_EQ(first->info().fingerprint, second->info().fingerprint);
  EXPECT_EQ(create_icae(config, *decoder, 1)->info().fingerprint, first->info().fingerprint);
  EXPECT_NE(create_icae(config, *decoder, 2)->info().fingerprint, first->info().fingerprint);
  const at::Tensor rows = first->parameters()[0].tensor;
  for (int64_t i = 1; i < rows.size(0); ++i) EXPECT_FALSE(at::equal(rows[0], rows[i]));
}

// compressor.json and compressor.safetensors

class IcaeFiles : public CompressorDirectoryTest<IcaeTest> {
 protected:
  IcaeFiles() { save(*compressor); }

  std::unique_ptr<Compressor> load() const override {
    return load_icae(open_compressor(directory.path()), *decoder);
  }
};

TEST_F(IcaeFiles, HoldAllSettingsAndTensors) {
  for (const bool connector : {false, true}) {
    IcaeConfig config = config_of(json);
    config.connector = connector;
    config.continuation_mark = connector;
    config.instruct = {{1, 2}, connector, {3}, {6, 7}};
    config.spread_positions = connector;
    if (connector) config.before_text = {8, 9};
    const auto saved = create_icae(config, *decoder);
    saved->save(directory.path());
    EXPECT_EQ(read_json(description).at("before_text").get<Ids>(), config.before_text);
    const auto loaded = load();
    EXPECT_TRUE(at::equal(compress(*loaded, segment_of(33)), compress(*saved, segment_of(33))));
    EXPECT_EQ(loaded->info().fingerprint, saved->info().fingerprint);
    EXPECT_EQ(loaded->memory_template(MemoryUse::kContinue).after.size(), connector ? 1u : 0u);
    const MemoryTemplate around = loaded->memory_template(MemoryUse::kInstruct);
    EXPECT_EQ(std::get<Ids>(around.before.at(0)), (Ids{1, 2}));
    EXPECT_EQ(around.end.size(), connector ? 2u : 1u);
    EXPECT_EQ(std::get<Ids>(around.end.back()), (Ids{3}));
    EXPECT_EQ(around.answer_ends, (Ids{6, 7}));
  }
}

TEST_F(IcaeFiles, WithoutIdsBeforeTheTextThereAreNone) {
  good.erase("before_text");
  overwrite(description, good.dump());
  const auto loaded = load();
  EXPECT_EQ(loaded->info().fingerprint, compressor->info().fingerprint);
  EXPECT_TRUE(at::equal(compress(*loaded, segment_of(16)), compress(segment_of(16))));
}

TEST_F(IcaeFiles, AMissingTensorIsNamed) {
  for (const std::string name : {"memory_embeddings", "layers.0.q.down", "layers.2.v.up"})
    refuse_tensors([&](TensorFile& file) { file.remove(name); }, name + " is missing");
}

TEST_F(IcaeFiles, ASurplusTensorIsNamed) {
  for (const std::string name : {"layers.0.k.down", "layers.3.q.down", "connector.weight"}) {
    refuse_tensors(
        [&](TensorFile& file) {
          file.add({name, "F32", {1}, "four"});
        },
        "surplus tensor " + name);
  }
}

TEST_F(IcaeFiles, ATensorOfAnotherShapeIsNamed) {
  refuse_tensors(
      [](TensorFile& file) {
        file.at("layers.1.q.down").shape = {32, 3};
      },
      "layers.1.q.down is [32, 3], expected [3, 32]");
}

TEST_F(IcaeFiles, SettingsThatDoNotFitAreNamed) {
  refuse_value("slots", 0, "slots is 0");
  refuse_value("slots", INT64_MAX, "slots is");
  refuse_value("slots", "4", "slots");
  refuse_value("max_segment", -1, "max_segment is -1");
  refuse_value("rank", nullptr, "rank is missing");
  refuse_value("alpha", -32, "alpha is -32");
  refuse_value("connector", "affine", "connector");
  refuse_value("slot_positions", "before", "expected \"spread\" or \"after\"");
  refuse_value("continuation", "mark", "expected \"lm\" or \"none\"");
  refuse_value("continuation", 1, "continuation");
  refuse_value("before_text", {1, 320}, "id 320 is outside the model's vocabulary of 320");
  refuse_value("before_text", 1, "before_text");
  refuse_value("instruct_before", {320}, "id 320 is outside the model's vocabulary of 320");
  refuse_value("instruct_end", 5, "instruct_end");
  refuse_value("instruct_mark_after_prompt", "yes", "instruct_mark_after_prompt");
  refuse_value("answer_ends", {-1}, "id -1 is outside");
}

TEST_F(IcaeFiles, OtherSlotsThanTheTensorsHaveAreRefused) {
  nlohmann::json changed = good;
  changed["slots"] = 5;
  overwrite(description, changed.dump());
  refuse(tensors, "memory_embeddings is [7, 32], expected [8, 32]");
}

TEST_F(IcaeFiles, AnotherBaseIsRefused) {
  const auto other = load_frozen("qwen3", at::kFloat);
  expect_error(ErrorKind::kBadWeights, "made for a model", [&] {
    load_icae(open_compressor(directory.path()), *other);
  });
}

}  // namespace
}  // namespace precis
