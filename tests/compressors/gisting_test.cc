// SPDX-License-Identifier: Apache-2.0
// Properties of Gisting in both forms; gisting_golden_test.cc compares it with its reference.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gisting_fixture.h"
#include "precis/engine.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

using Form = GistingConfig::Form;
using Ids = std::vector<TokenId>;

class GistingForms : public testing::TestWithParam<Form> {
 protected:
  GistingForms() : decoder(load_model("llama", at::kFloat)), config(golden_config(GetParam(), 2)) {
    config.before_text = {1, 2};
    config.max_segment = 500;
    config.after = {21, 22};
    config.end = {23};
    compressor = make_golden(config, *decoder);
  }

  MemoryTensors compress(const Segment& segment) const {
    return compressor->compress({&segment, 1}, {}).front();
  }

  template <typename Change>
  void refuse_options(const std::string& message, const Change& change) const {
    CompressOptions options;
    change(options);
    const Segment segment = segment_of(10);
    expect_error(ErrorKind::kInvalidArgument, message, [&] {
      compressor->compress({&segment, 1}, options);
    });
    expect_error(
        ErrorKind::kInvalidArgument, message, [&] { compressor->memory_size(10, options); });
  }

  template <typename Change>
  void refuse_config(const std::string& message, const Change& change) const {
    GistingConfig changed = config;
    change(changed);
    expect_error(ErrorKind::kInvalidArgument, message, [&] { create_gisting(changed, *decoder); });
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  GistingConfig config;
  std::unique_ptr<Compressor> compressor;
};

TEST_P(GistingForms, BatchOfRaggedSegmentsEqualsSingles) {
  const std::vector<Segment> segments{
      segment_of(7), segment_of(31, 9), segment_of(1, 70), segment_of(31, 12), segment_of(300, 3)};
  const auto batch = compressor->compress(segments, {});
  ASSERT_EQ(batch.size(), segments.size());
  for (size_t i = 0; i < segments.size(); ++i) expect_alike(batch[i], compress(segments[i]), 1e-4);
}

TEST_P(GistingForms, ABatchOfEqualSegmentsEqualsSingles) {
  const std::vector<Segment> segments{segment_of(24), segment_of(24, 9), segment_of(24, 11)};
  const auto batch = compressor->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i) expect_alike(batch[i], compress(segments[i]), 1e-4);
}

TEST_P(GistingForms, ManySegmentsTakeSeveralPasses) {
  std::vector<Segment> segments;
  for (int64_t i = 0; i < 12; ++i) segments.push_back(segment_of(480, 5 + i));
  std::vector<double> reported;
  CompressOptions options;
  options.progress = [&](double done) {
    reported.push_back(done);
    return true;
  };
  const auto memories = compressor->compress(segments, options);
  ASSERT_EQ(memories.size(), 12u);
  expect_alike(memories[0], compress(segments[0]), 1e-4);
  expect_alike(memories[11], compress(segments[11]), 1e-4);
  EXPECT_EQ(reported.size(), 2u);
  EXPECT_DOUBLE_EQ(reported.back(), 1.0);
}

TEST_P(GistingForms, GradientsDoNotChangeMemories) {
  const std::vector<Segment> segments{segment_of(7), segment_of(40, 9)};
  const auto without = compressor->compress(segments, {});
  const c10::AutoGradMode with(true);
  for (const NamedTensor& named : compressor->parameters()) named.tensor.requires_grad_(true);
  const auto memories = compressor->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i) expect_alike(memories[i], without[i], 1e-4);
  EXPECT_EQ(cached_of(memories[0]).keys.requires_grad(), GetParam() == Form::kFrozen);
}

TEST_P(GistingForms, LoadsWhatItSaved) {
  const TemporaryDirectory directory;
  compressor->save(directory.path());
  const auto loaded = load_gisting(open_compressor(directory.path()), *decoder);
  const Segment segment = segment_of(33);
  const MemoryTensors before = compress(segment),
                      after = loaded->compress({&segment, 1}, {}).front();
  EXPECT_TRUE(at::equal(cached_of(before).keys, cached_of(after).keys));
  EXPECT_TRUE(at::equal(cached_of(before).values, cached_of(after).values));
  EXPECT_EQ(loaded->info().fingerprint, compressor->info().fingerprint);
  EXPECT_EQ(loaded->info().max_segment, 500);
  EXPECT_EQ(std::get<Ids>(loaded->memory_template(MemoryUse::kInstruct).after.front()),
            config.after);
  EXPECT_EQ(std::get<Ids>(loaded->memory_template(MemoryUse::kInstruct).end.front()), config.end);
}

TEST_P(GistingForms, InfoDescribesIt) {
  const CompressorInfo info = compressor->info();
  EXPECT_EQ(info.method, "gisting");
  EXPECT_EQ(info.slots, 2);
  EXPECT_FALSE(info.any_ratio);
  EXPECT_FALSE(info.reads_prefix);
  EXPECT_DOUBLE_EQ(info.ratio, 250.0);
  // 2 embeddings of 32; in each of 3 layers A [4, 32] for q, k, v, less the last q, and their B.
  const int64_t lora = 8 * 4 * 32 + 4 * (2 * 32 + 6 * 16);
  EXPECT_EQ(info.num_parameters, GetParam() == Form::kFrozen ? 2 * 32 + lora : 0);
  EXPECT_EQ(compressor->memory_size(1, {}), 2);
  EXPECT_EQ(compressor->memory_size(500, {}), 2);
}

TEST_P(GistingForms, FingerprintDependsOnTheTemplate) {
  const std::string own = compressor->info().fingerprint;
  GistingConfig other = config;
  other.before_text = {1, 3};
  EXPECT_NE(make_golden(other, *decoder)->info().fingerprint, own);
  other = config;
  other.num_gists = 3;
  EXPECT_NE(make_golden(other, *decoder)->info().fingerprint, own);
}

TEST_P(GistingForms, TheTemplateFollowsTheMemory) {
  const MemoryTemplate instruct = compressor->memory_template(MemoryUse::kInstruct);
  EXPECT_TRUE(instruct.before.empty());
  EXPECT_EQ(std::get<Ids>(instruct.after.at(0)), config.after);
  EXPECT_EQ(std::get<Ids>(instruct.end.at(0)), config.end);
  EXPECT_TRUE(instruct.answer_ends.empty());
  const MemoryTemplate continuation = compressor->memory_template(MemoryUse::kContinue);
  EXPECT_TRUE(continuation.before.empty() && continuation.after.empty() &&
              continuation.end.empty());
  expect_error(ErrorKind::kUnsupported, "say a text again", [&] {
    compressor->memory_template(MemoryUse::kAutoencode);
  });
}

TEST_P(GistingForms, RefusesSegmentsThatItCannotRead) {
  const auto refuse = [&](const std::string& message, const Segment& segment) {
    expect_error(ErrorKind::kInvalidArgument, message, [&] { compress(segment); });
  };
  refuse("an empty segment", Segment());
  refuse(
      "a segment of 501 tokens is over the limit of 500; a memory of gists behind the text cannot "
      "be made of chunks",
      segment_of(501));
  refuse("id 320 is outside the vocabulary of 320", Segment{{1, 320}, nullptr});
  refuse("id -1 is outside", Segment{{-1}, nullptr});
  if (GetParam() == Form::kTuned) refuse("is the gist itself", Segment{{5, 311, 6}, nullptr});
  for (const int64_t size : {0, 501})
    expect_error(
        ErrorKind::kInvalidArgument, "segment", [&] { compressor->memory_size(size, {}); });
}

TEST_P(GistingForms, RefusesAPassOverTheModelsWindow) {
  config.max_segment = 600;
  compressor = make_golden(config, *decoder);
  EXPECT_EQ(cached_of(compress(segment_of(508))).next_position, 512);
  expect_error(ErrorKind::kInvalidArgument, "513 tokens", [&] { compress(segment_of(509)); });
}

TEST_P(GistingForms, RefusesUnsupportedOptions) {
  refuse_options("a ratio of 4 was asked for", [](CompressOptions& options) { options.ratio = 4; });
  refuse_options("chaining can only be independent",
                 [](CompressOptions& options) { options.chaining = Chaining::kConcat; });
  refuse_options("chaining can only be independent",
                 [](CompressOptions& options) { options.chaining = Chaining::kRecursive; });
  refuse_options("a segment of 501 tokens was asked for",
                 [](CompressOptions& options) { options.segment = 501; });
  refuse_options("a segment of 0 tokens was asked for",
                 [](CompressOptions& options) { options.segment = 0; });
  refuse_options("a segment of 10 tokens is over the limit of 9",
                 [](CompressOptions& options) { options.segment = 9; });
}

TEST_P(GistingForms, RefusesImpossibleConfigurations) {
  refuse_config("num_gists is 0", [](GistingConfig& c) { c.num_gists = 0; });
  refuse_config("num_gists is 513", [](GistingConfig& c) { c.num_gists = 513; });
  refuse_config("max_segment is 0", [](GistingConfig& c) { c.max_segment = 0; });
  refuse_config("rank is -1", [](GistingConfig& c) { c.rank = -1; });
  refuse_config("rank is 33", [](GistingConfig& c) { c.rank = 33; });
  refuse_config("alpha is", [](GistingConfig& c) { c.alpha = INFINITY; });
  refuse_config("id 320 is outside", [](GistingConfig& c) { c.before_text = {320}; });
  refuse_config("id -7 is outside", [](GistingConfig& c) { c.after = {-7}; });
  refuse_config("id 320 is outside", [](GistingConfig& c) { c.end = {1, 320}; });
}

// A gist attends to the whole text: an id sampled from the output of a gist that ends a sequence
// would depend on the uncompressed text.
TEST_P(GistingForms, ASequenceThatEndsOnAGistIsNeverSampledFrom) {
  const Segment segment = segment_of(12);
  const MemoryTensors tensors = compress(segment);
  const char* problem = "nothing follows the memory";
  expect_error(ErrorKind::kInvalidArgument, problem, [&] {
    splice(std::vector{memory_item(tensors)}, *decoder);
  });
  EngineOptions options;
  options.model = model_path("llama");
  options.dtype = Dtype::kFloat32;
  const Engine engine = Engine::load(options);
  const Memory memory(std::make_shared<MemoryContents>(
      MemoryContents{tensors, {"gisting", engine.decoder().fingerprint(), "", "", 12}}));
  const Prompt ends_on_gist = Prompt().memory(memory);
  GenerationOptions generation;
  generation.max_tokens = 3;
  expect_error(
      ErrorKind::kInvalidArgument, problem, [&] { engine.generate(ends_on_gist, generation); });
  // The first id is read, not predicted.
  EXPECT_EQ(engine.score_ids(ends_on_gist, Ids{5, 6}).nll.size(), 1u);
  expect_error(ErrorKind::kInvalidArgument, "at least 2 ids", [&] {
    engine.score_ids(ends_on_gist, Ids{5});
  });
  EXPECT_EQ(engine.generate_batch({&ends_on_gist, 1}, generation).front().finish,
            Completion::Finish::kError);
  const Completion answer = engine.generate(Prompt().memory(memory).ids({21}), generation);
  EXPECT_LE(answer.ids.size(), 3u);
  EXPECT_EQ(answer.savings.prompt_rows, 3);
}

INSTANTIATE_TEST_SUITE_P(Forms,
                         GistingForms,
                         testing::Values(Form::kFrozen, Form::kTuned),
                         [](const auto& test) {
                           return std::string(test.param == Form::kFrozen ? "frozen" : "tuned");
                         });

class FreshGisting : public testing::Test {
 protected:
  FreshGisting() : decoder(load_model("qwen2", at::kFloat)) {
    config.num_gists = 3;
    config.rank = 4;
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  GistingConfig config;
};

TEST_F(FreshGisting, StartsAtTheMeanEmbeddingWithALoraThatChangesNothing) {
  const auto fresh = create_gisting(config, *decoder);
  const at::Tensor mean =
      decoder->embed(at::arange(decoder->config().vocab_size, at::kLong)).mean(0);
  EXPECT_LT(largest_difference(fresh->parameters().front().tensor, mean.expand({3, 32})), 1e-5);
  config.rank = 0;
  const auto without = create_gisting(config, *decoder);
  EXPECT_EQ(without->parameters().size(), 1u);
  const Segment segment = segment_of(20);
  expect_alike(fresh->compress({&segment, 1}, {}).front(),
               without->compress({&segment, 1}, {}).front(),
               1e-5);
}

TEST_F(FreshGisting, TheSameSeedGivesTheSameWeights) {
  const auto fingerprint = [&](uint64_t seed) {
    return create_gisting(config, *decoder, seed)->info().fingerprint;
  };
  EXPECT_EQ(fingerprint(1), fingerprint(1));
  EXPECT_NE(fingerprint(1), fingerprint(2));
}

TEST_F(FreshGisting, EveryParameterHasAGradient) {
  const c10::AutoGradMode with(true);
  const auto fresh = create_gisting(config, *decoder);
  for (const NamedTensor& named : fresh->parameters()) named.tensor.requires_grad_(true);
  const Segment segment = segment_of(20);
  const CachedTokens memory = cached_of(fresh->compress({&segment, 1}, {}).front());
  (memory.keys.square().sum() + memory.values.square().sum()).backward();
  for (const NamedTensor& named : fresh->parameters()) {
    ASSERT_TRUE(named.tensor.grad().defined()) << named.name;
    // B is zero, so that A has no gradient yet.
    if (!named.name.ends_with("lora_A.weight")) {
      EXPECT_GT(named.tensor.grad().abs().max().item<double>(), 0.0) << named.name;
    }
  }
}

// With a ratio, longer texts have more gists, which share one embedding.
class GistingByRatio : public FreshGisting {
 protected:
  GistingByRatio() {
    config.num_gists = 1;
    config.ratio = 8;
    config.max_segment = 100;
    config.before_text = {1};
    compressor = create_gisting(config, *decoder);
    at::manual_seed(3);
    // B is not zero, so that a gist and a text token differ.
    for (const NamedTensor& named : compressor->parameters()) named.tensor.normal_(0, 0.3);
  }

  CachedTokens compress(int64_t num_tokens, const CompressOptions& options = {}) const {
    const Segment segment = segment_of(num_tokens);
    return cached_of(compressor->compress({&segment, 1}, options).front());
  }

  static CompressOptions at_ratio(double ratio) {
    CompressOptions options;
    options.ratio = ratio;
    return options;
  }

  std::unique_ptr<Compressor> compressor;
};

TEST_F(GistingByRatio, HasMoreGistsForLongerTexts) {
  for (const auto& [tokens, gists] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {8, 1}, {15, 1}, {16, 2}, {100, 12}}) {
    EXPECT_EQ(compress(tokens).keys.size(2), gists) << tokens;
    EXPECT_EQ(compressor->memory_size(tokens, {}), gists) << tokens;
  }
  EXPECT_EQ(compress(100, at_ratio(20)).keys.size(2), 5);
  EXPECT_EQ(compressor->memory_size(100, at_ratio(20)), 5);
  EXPECT_TRUE(compressor->info().any_ratio);
  EXPECT_EQ(compressor->info().ratio, 8);
  expect_error(ErrorKind::kInvalidArgument, "ratio is 0.5", [&] { compress(9, at_ratio(0.5)); });
}

// Equals a compressor with a fixed number of gists whose embeddings are equal.
TEST_F(GistingByRatio, EqualsThatManyEqualGists) {
  GistingConfig counted = config;
  counted.ratio.reset();
  counted.num_gists = 3;
  const auto other = create_gisting(counted, *decoder);
  const auto from = compressor->parameters(), to = other->parameters();
  for (size_t i = 0; i < from.size(); ++i)
    to[i].tensor.copy_(from[i].tensor.expand_as(to[i].tensor));
  const Segment segment = segment_of(29);
  expect_alike(other->compress({&segment, 1}, {}).front(), compress(29), 1e-5);
}

TEST_F(GistingByRatio, ABatchOfRaggedSegmentsEqualsSinglesWithAndWithoutGradients) {
  const std::vector<Segment> segments{segment_of(7), segment_of(40, 9), segment_of(40, 12)};
  for (const bool gradients : {false, true}) {
    const c10::AutoGradMode mode(gradients);
    for (const NamedTensor& named : compressor->parameters())
      named.tensor.requires_grad_(gradients);
    const auto together = compressor->compress(segments, {});
    for (size_t i = 0; i < segments.size(); ++i) {
      const c10::NoGradGuard single;
      expect_alike(together[i], compressor->compress({&segments[i], 1}, {}).front(), 1e-5);
    }
  }
}

TEST_F(GistingByRatio, LoadsWhatItSaved) {
  const TemporaryDirectory directory;
  compressor->save(directory.path());
  const auto loaded = load_gisting(open_compressor(directory.path()), *decoder);
  EXPECT_EQ(loaded->info().fingerprint, compressor->info().fingerprint);
  const Segment segment = segment_of(50);
  expect_alike(loaded->compress({&segment, 1}, {}).front(), compress(50), 0);
}

TEST_F(GistingByRatio, NeedsOneGistOfTheFrozenForm) {
  const auto refuse = [&](const GistingConfig& changed, const char* message) {
    expect_error(ErrorKind::kInvalidArgument, message, [&] { create_gisting(changed, *decoder); });
  };
  GistingConfig changed = config;
  changed.num_gists = 2;
  refuse(changed, "num_gists of 1");
  changed = config;
  changed.form = Form::kTuned;
  changed.gist_id = 9;
  refuse(changed, "the frozen form");
  changed = config;
  changed.ratio = 0.5;
  refuse(changed, "ratio is 0.5");
}

TEST_F(FreshGisting, RefusesWeightsOfAnotherShape) {
  GistingWeights weights;
  weights.embeddings = at::zeros({2, 32});
  expect_error(ErrorKind::kInvalidArgument, "gist_embeddings is [2, 32], expected [3, 32]", [&] {
    make_gisting(config, weights, *decoder);
  });
  weights.embeddings = at::zeros({3, 32});
  expect_error(ErrorKind::kInvalidArgument, "the LoRA has 0 layers, expected 3", [&] {
    make_gisting(config, weights, *decoder);
  });
  weights.adapter.layers.resize(3);
  expect_error(ErrorKind::kInvalidArgument, "layers.0.q_proj.lora_A.weight", [&] {
    make_gisting(config, weights, *decoder);
  });
}

}  // namespace
}  // namespace precis
