// SPDX-License-Identifier: Apache-2.0
// IC-Former against a restatement of its specification in PyTorch
// (golden/make_ic_former_golden.py): every layer, memories, the loss and its gradients; and what
// follows from the specification without an oracle.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "compressors/divide.h"
#include "compressors/ic_former/ic_former.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "models/load_decoder.h"
#include "precis/extend/cost.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(PRECIS_TEST_GOLDEN_DIR) / "ic_former";
constexpr int64_t kHidden = 32;
constexpr TokenId kEndOfSequence = 0;
using Ids = std::vector<TokenId>;

IcFormerConfig golden_config() {
  const nlohmann::json settings = read_json(kGolden / "cases.json").at("settings");
  IcFormerConfig config;
  config.slots = 5;
  config.max_segment = settings.at("max_part");
  config.num_heads = 4;
  config.ffn_size = 24;
  config.rms_norm_epsilon = 1e-5;
  config.rope_base = 500;
  const nlohmann::json& ids = settings.at("template");
  config.instruct = {ids.at("before"), ids.at("after"), ids.at("end")};
  return config;
}

IcFormerWeights golden_weights(c10::ScalarType dtype) {
  const auto open = [&](const fs::path& file) {
    return Weights(safetensors_file_weights(kGolden / file), dtype);
  };
  const Weights net = open("published/model.safetensors"),
                vectors = open("published/param.safetensors"),
                connector = open("connector.safetensors");
  IcFormerWeights weights;
  weights.net = ic_former::load_digest_net(net.scope("encoder"), {3, kHidden, 24});
  weights.digests = vectors.take("digest_embeddings", {1, 5, kHidden}).squeeze(0);
  weights.autoencode = vectors.take("AE", {1, 1, kHidden}).flatten();
  weights.instruct = vectors.take("FT", {1, 1, kHidden}).flatten();
  weights.connector.weight = connector.take("connector.weight", {kHidden, kHidden});
  weights.connector.bias = connector.take("connector.bias", {kHidden});
  weights.connector.norm_weight = connector.take("connector_norm.weight", {kHidden});
  weights.connector.norm_bias = connector.take("connector_norm.bias", {kHidden});
  return weights;
}

std::unique_ptr<Decoder> load_frozen(c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  return load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", dtype);
}

at::Tensor index_of(const Ids& ids) { return at::tensor(ids, at::kLong); }

void want_gradients(Compressor& compressor) {
  for (const NamedTensor& named : compressor.parameters()) named.tensor.requires_grad_(true);
}

at::Tensor slots_of(const Compressor& compressor, const Ids& tokens) {
  const Segment segment{tokens, nullptr};
  return std::get<SoftTokens>(compressor.compress({&segment, 1}, {}).front()).embeddings;
}

double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor wide = expected.to(at::kDouble);
  return ((actual.to(at::kDouble) - wide).abs().max() / wide.abs().max().clamp_min(1e-3))
      .item<double>();
}

class IcFormerGolden : public testing::TestWithParam<std::string> {
 protected:
  IcFormerGolden()
      : expected(SafetensorsFile::open(kGolden / "expected.safetensors")),
        json(read_json(kGolden / "cases.json").at("cases").at(GetParam())),
        tokens(json.at("tokens")) {}

  void load(c10::ScalarType dtype, bool token_table = false) {
    decoder = load_frozen(dtype);
    IcFormerConfig config = golden_config();
    config.connector = json.at("connector");
    config.token_table = token_table;
    compressor = make_ic_former(config, golden_weights(dtype), *decoder);
  }

  at::Tensor wanted(const std::string& name) const {
    return to_tensor(*expected.find(GetParam() + "." + name));
  }

  // Gradients under `prefix` for the tensors that take part, none for the others.
  void expect_gradients(const std::string& prefix, double tolerance) const {
    for (const NamedTensor& named : compressor->parameters()) {
      std::string name = named.name;
      if (name == "autoencode_embedding") name = "AE";
      if (name == "instruct_embedding") name = "FT";
      if (name.starts_with("norm.")) name = "connector_" + name;
      const at::Tensor& gradient = named.tensor.grad();
      if (expected.find(GetParam() + "." + prefix + name) == nullptr) {
        EXPECT_FALSE(gradient.defined()) << name;
        continue;
      }
      ASSERT_TRUE(gradient.defined()) << name;
      const at::Tensor want = wanted(prefix + name).reshape_as(gradient);
      EXPECT_LT(largest_difference(gradient, want), tolerance) << name;
    }
  }

  // What the trainer makes of memories in their template and of what is to be said.
  double loss(bool backward) const {
    TrainingExample example{{tokens, nullptr}, tokens, MemoryUse::kAutoencode};
    if (json.at("use") == "instruct") {
      example.use = MemoryUse::kInstruct;
      example.prompt = json.at("prompt").get<Ids>();
      example.targets = json.at("answer").get<Ids>();
    } else {
      example.targets.push_back(kEndOfSequence);
    }
    return cross_entropy(*decoder, predict(*decoder, *compressor, {&example, 1}, {}), backward);
  }

  SafetensorsFile expected;
  nlohmann::json json;
  Ids tokens;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_P(IcFormerGolden, EveryLayerAgrees) {
  load(at::kDouble);
  const IcFormerConfig config = golden_config();
  const IcFormerWeights weights = golden_weights(at::kDouble);
  const ic_former::DigestShape shape{config.num_heads, config.rms_norm_epsilon, config.rope_base};
  std::vector<std::vector<at::Tensor>> states(3);
  for (const TokenRange& part : divide(std::ssize(tokens), config.max_segment)) {
    const Ids ids{tokens.begin() + part.first, tokens.begin() + part.first + part.size};
    const at::Tensor seen =
        at::cat({decoder->embed(index_of(ids)), weights.digests}, 0).unsqueeze(0);
    at::Tensor state = weights.digests.unsqueeze(0);
    for (size_t i = 0; i < 3; ++i) {
      state = ic_former::reference::cross_attention(weights.net.layers[i], state, seen, shape);
      states[i].push_back(state[0]);
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LT(largest_difference(at::cat(states[i], 0), wanted("layer." + std::to_string(i))), 1e-9)
        << i;
  }
}

TEST_P(IcFormerGolden, MemoriesAgree) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kDouble, 1e-9}}) {
    load(dtype);
    const c10::NoGradGuard no_grad;
    EXPECT_LT(largest_difference(slots_of(*compressor, tokens), wanted("slots")), tolerance);
  }
}

TEST_P(IcFormerGolden, MemoriesWithGradientsAgree) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kDouble, 1e-9}}) {
    load(dtype);
    want_gradients(*compressor);
    const at::Tensor slots = slots_of(*compressor, tokens);
    EXPECT_TRUE(slots.requires_grad());
    EXPECT_LT(largest_difference(slots.detach(), wanted("slots")), tolerance);
  }
}

TEST_P(IcFormerGolden, MemoriesFromTheTokenTableAgree) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kDouble, 1e-9}}) {
    load(dtype, /*token_table=*/true);
    const c10::NoGradGuard no_grad;
    EXPECT_LT(largest_difference(slots_of(*compressor, tokens), wanted("slots")), tolerance);
  }
}

// The oracle's decoder keeps norms and rotary angles in float32.
TEST_P(IcFormerGolden, TheFrozenModelReadsThemAlike) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  const double want = wanted("loss").item<double>();
  EXPECT_NEAR(loss(/*backward=*/false), want, 1e-5 * want);
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  const nlohmann::json cases = read_json(kGolden / "cases.json");
  for (const auto& [name, ignored] : cases.at("cases").items()) names.push_back(name);
  return names;
}

// Those for which the oracle has this tensor.
std::vector<std::string> cases_with(const std::string& tensor) {
  const SafetensorsFile expected = SafetensorsFile::open(kGolden / "expected.safetensors");
  std::vector<std::string> names = case_names();
  std::erase_if(names, [&](const std::string& name) {
    return expected.find(name + "." + tensor) == nullptr;
  });
  return names;
}

const auto kName = [](const auto& test) { return test.param; };

INSTANTIATE_TEST_SUITE_P(Cases, IcFormerGolden, testing::ValuesIn(case_names()), kName);

class IcFormerLossGradients : public IcFormerGolden {};

TEST_P(IcFormerLossGradients, Agree) {
  load(at::kDouble);
  want_gradients(*compressor);
  loss(/*backward=*/true);
  expect_gradients("gradient.", 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         IcFormerLossGradients,
                         testing::ValuesIn(cases_with("gradient.encoder.norm.weight")),
                         kName);

class IcFormerProbeGradients : public IcFormerGolden {};

TEST_P(IcFormerProbeGradients, Agree) {
  load(at::kDouble);
  want_gradients(*compressor);
  (slots_of(*compressor, tokens) * wanted("probe")).sum().backward();
  expect_gradients("probe_gradient.", 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         IcFormerProbeGradients,
                         testing::ValuesIn(cases_with("probe")),
                         kName);

// Without an oracle.

Ids text_of(int64_t size, int64_t first = 5) {
  Ids ids;
  for (int64_t i = 0; i < size; ++i) ids.push_back(first + (i * 37) % 300);
  return ids;
}

class IcFormer : public testing::Test {
 protected:
  void load(c10::ScalarType dtype, IcFormerConfig with = golden_config()) {
    config = with;
    decoder = load_frozen(dtype);
    const bool wide = dtype == at::kDouble;
    compressor = make_ic_former(config, golden_weights(wide ? at::kDouble : at::kFloat), *decoder);
  }

  void expect_batch_equals_singles() const {
    std::vector<Segment> segments;
    for (const int64_t size : {7, 1, 40, 16, 7, 33})
      segments.push_back({text_of(size, 4), nullptr});
    const auto batch = compressor->compress(segments, {});
    ASSERT_EQ(batch.size(), segments.size());
    for (size_t i = 0; i < segments.size(); ++i) {
      const at::Tensor single = slots_of(*compressor, segments[i].tokens);
      EXPECT_LT(largest_difference(std::get<SoftTokens>(batch[i]).embeddings, single), 1e-12) << i;
    }
  }

  IcFormerConfig config;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_F(IcFormer, HasAsManyParametersAsTheAccountingSays) {
  load(at::kFloat);
  IcFormerShape shape;
  shape.slots = 5;
  shape.ffn_size = 24;
  shape.num_marks = 2;  // AE and FT
  EXPECT_EQ(compressor->info().num_parameters,
            compression_cost(decoder->config(), shape, 10, 4).parameters);
}

TEST_F(IcFormer, ADigestChangesItsOwnRowOnly) {
  const IcFormerWeights weights = golden_weights(at::kDouble);
  const at::Tensor seen = at::randn({1, 12, kHidden}, at::kDouble),
                   state = at::randn({1, 5, kHidden}, at::kDouble);
  at::Tensor changed = state.clone();
  changed[0][2] += 1;
  for (const ic_former::CrossAttentionLayer& layer : weights.net.layers) {
    const at::Tensor before = ic_former::reference::cross_attention(layer, state, seen, {4}),
                     after = ic_former::reference::cross_attention(layer, changed, seen, {4});
    for (int64_t row = 0; row < 5; ++row)
      EXPECT_EQ(at::allclose(before[0][row], after[0][row], 1e-12, 1e-12), row != 2) << row;
  }
}

TEST_F(IcFormer, ARaggedBatchEqualsItsTextsOneByOne) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  expect_batch_equals_singles();
}

TEST_F(IcFormer, ARaggedBatchWithGradientsEqualsItsTextsOneByOne) {
  load(at::kDouble);
  want_gradients(*compressor);
  expect_batch_equals_singles();
}

TEST_F(IcFormer, ManyPartsTakeSeveralPasses) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  const Segment segment{text_of(5000), nullptr};
  std::vector<double> heard;
  CompressOptions options;
  options.progress = [&](double done) {
    heard.push_back(done);
    return true;
  };
  const auto memory = compressor->compress({&segment, 1}, options);
  const at::Tensor slots = std::get<SoftTokens>(memory.front()).embeddings;
  EXPECT_GT(heard.size(), 1u);
  EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
  EXPECT_DOUBLE_EQ(heard.back(), 1.0);
  int64_t row = 0;
  for (const TokenRange& part : divide(5000, config.max_segment)) {
    const Ids ids{segment.tokens.begin() + part.first,
                  segment.tokens.begin() + part.first + part.size};
    const at::Tensor own = slots_of(*compressor, ids);
    ASSERT_LT(largest_difference(slots.narrow(0, row, 5), own), 1e-12) << row;
    row += 5;
  }
  EXPECT_EQ(row, slots.size(0));
  EXPECT_EQ(row, compressor->memory_size(5000, {}));
}

TEST_F(IcFormer, BFloat16StaysCloseToFloat32) {
  const c10::NoGradGuard no_grad;
  for (const bool token_table : {false, true}) {
    IcFormerConfig with = golden_config();
    with.token_table = token_table;
    load(at::kFloat, with);
    const at::Tensor wide = slots_of(*compressor, text_of(29));
    load(at::kBFloat16, with);
    const at::Tensor narrow = slots_of(*compressor, text_of(29));
    EXPECT_EQ(narrow.scalar_type(), at::kBFloat16);
    const at::Tensor error = (narrow.to(at::kFloat) - wide).norm() / wide.norm();
    EXPECT_LT(error.item<double>(), 0.04) << token_table;
  }
}

// What is prepared for reading without gradients does not outlive a training step.
TEST_F(IcFormer, ChangedWeightsAreSeen) {
  for (const bool token_table : {false, true}) {
    IcFormerConfig with = golden_config();
    with.token_table = token_table;
    load(at::kDouble, with);
    const c10::NoGradGuard no_grad;
    const Ids text = text_of(20);
    const at::Tensor before = slots_of(*compressor, text);
    const std::string fingerprint = compressor->info().fingerprint;
    for (const NamedTensor& named : compressor->parameters()) named.tensor.mul_(1.25);
    const at::Tensor after = slots_of(*compressor, text);
    EXPECT_GT(largest_difference(after, before), 1e-3);
    IcFormerWeights changed = golden_weights(at::kDouble);
    const auto fresh = make_ic_former(with, changed, *decoder);
    for (const NamedTensor& named : fresh->parameters()) named.tensor.mul_(1.25);
    EXPECT_TRUE(at::equal(after, slots_of(*fresh, text)));
    EXPECT_NE(compressor->info().fingerprint, fingerprint);
    EXPECT_EQ(compressor->info().fingerprint, fresh->info().fingerprint);
  }
}

TEST_F(IcFormer, TheFingerprintKnowsTheNumbersThatMemoriesDependOn) {
  load(at::kFloat);
  const std::string own = compressor->info().fingerprint;
  IcFormerConfig other = golden_config();
  other.rope_base = 501;
  load(at::kFloat, other);
  EXPECT_NE(compressor->info().fingerprint, own);
}

TEST_F(IcFormer, ComesBackFromItsFilesUnchanged) {
  const c10::NoGradGuard no_grad;
  IcFormerConfig with = golden_config();
  with.connector = true;
  with.token_table = true;
  load(at::kFloat, with);
  const TemporaryDirectory directory;
  compressor->save(directory.path());
  const auto loaded = load_ic_former(open_compressor(directory.path()), *decoder);
  EXPECT_TRUE(at::equal(slots_of(*loaded, text_of(33)), slots_of(*compressor, text_of(33))));
  EXPECT_EQ(loaded->info().fingerprint, compressor->info().fingerprint);
  EXPECT_EQ(loaded->info().max_segment, config.max_segment);
  const MemoryTemplate around = loaded->memory_template(MemoryUse::kInstruct);
  EXPECT_EQ(std::get<Ids>(around.before.at(0)), config.instruct.before);
  EXPECT_EQ(std::get<Ids>(around.after.at(1)), config.instruct.after);
  EXPECT_EQ(std::get<Ids>(around.end.at(0)), config.instruct.end);
}

TEST_F(IcFormer, FramesMemoriesAsTheyWereTrained) {
  load(at::kFloat);
  const IcFormerWeights weights = golden_weights(at::kFloat);
  const MemoryTemplate again = compressor->memory_template(MemoryUse::kAutoencode);
  EXPECT_TRUE(again.before.empty() && again.end.empty());
  ASSERT_EQ(again.after.size(), 1u);
  EXPECT_TRUE(at::equal(std::get<at::Tensor>(again.after[0]), weights.autoencode.unsqueeze(0)));
  const MemoryTemplate on = compressor->memory_template(MemoryUse::kContinue);
  EXPECT_TRUE(on.before.empty() && on.after.empty() && on.end.empty());
  const MemoryTemplate answer = compressor->memory_template(MemoryUse::kInstruct);
  ASSERT_EQ(answer.after.size(), 2u);
  EXPECT_TRUE(at::equal(std::get<at::Tensor>(answer.after[0]), weights.instruct.unsqueeze(0)));
  EXPECT_EQ(std::get<Ids>(answer.after[1]), config.instruct.after);
}

TEST_F(IcFormer, WithoutAnFtVectorItDoesNotAnswer) {
  load(at::kFloat);
  IcFormerWeights weights = golden_weights(at::kFloat);
  weights.instruct = at::Tensor();
  const auto pretrained = make_ic_former(golden_config(), weights, *decoder);
  expect_error(ErrorKind::kUnsupported, "not trained to answer", [&] {
    pretrained->memory_template(MemoryUse::kInstruct);
  });
}

TEST_F(IcFormer, SaysWhatItIs) {
  load(at::kFloat);
  const CompressorInfo info = compressor->info();
  EXPECT_EQ(info.method, "ic_former");
  EXPECT_EQ(info.slots, 5);
  EXPECT_FALSE(info.any_ratio);
  EXPECT_FALSE(info.reads_prefix);
  EXPECT_EQ(compressor->memory_size(16, {}), 5);
  EXPECT_EQ(compressor->memory_size(17, {}), 10);
}

TEST_F(IcFormer, RefusesOptionsThatItCannotObey) {
  load(at::kFloat);
  const auto refuse = [&](const CompressOptions& options, const std::string& part) {
    const Segment segment{text_of(10), nullptr};
    expect_error(ErrorKind::kInvalidArgument, part, [&] {
      compressor->compress({&segment, 1}, options);
    });
    expect_error(ErrorKind::kInvalidArgument, part, [&] { compressor->memory_size(10, options); });
  };
  CompressOptions options;
  options.ratio = 4;
  refuse(options, "ratio");
  options = {};
  options.segment = 17;
  refuse(options, "segment of 17");
  options.segment = 0;
  refuse(options, "segment of 0");
  for (const Chaining chaining : {Chaining::kConcat, Chaining::kRecursive}) {
    options = {};
    options.chaining = chaining;
    refuse(options, "chaining");
  }
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { compressor->memory_size(0, {}); });
}

TEST_F(IcFormer, RefusesConfigurationsThatCannotBe) {
  load(at::kFloat);
  const auto refuse = [&](const IcFormerConfig& bad, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { create_ic_former(bad, *decoder); });
  };
  for (int64_t IcFormerConfig::*size : {&IcFormerConfig::slots,
                                        &IcFormerConfig::max_segment,
                                        &IcFormerConfig::num_layers,
                                        &IcFormerConfig::num_heads,
                                        &IcFormerConfig::ffn_size}) {
    IcFormerConfig bad = golden_config();
    bad.*size = 0;
    refuse(bad, "is 0");
  }
  const auto refuse_large =
      [&](int64_t IcFormerConfig::*size, int64_t value, const std::string& part) {
        for (const int64_t large : {value, std::numeric_limits<int64_t>::max()}) {
          IcFormerConfig bad = golden_config();
          bad.*size = large;
          refuse(bad, part);
        }
      };
  refuse_large(&IcFormerConfig::slots, 512, "expected 1 to 511");  // what the model's window holds
  refuse_large(&IcFormerConfig::num_layers, 1025, "expected 1 to 1024");
  refuse_large(&IcFormerConfig::ffn_size, (int64_t{1} << 20) + 1, "expected 1 to 1048576");
  for (const int64_t heads : {5, 32, 64}) {
    IcFormerConfig bad = golden_config();
    bad.num_heads = heads;
    refuse(bad, "num_heads is " + std::to_string(heads));
  }
  IcFormerConfig bad = golden_config();
  bad.instruct.end = {320};
  refuse(bad, "id 320");
}

TEST_F(IcFormer, TrainingStartsAsInThePaper) {
  load(at::kFloat);
  const c10::NoGradGuard no_grad;
  const auto first = create_ic_former(golden_config(), *decoder);
  for (const NamedTensor& named : first->parameters()) {
    const std::string& name = named.name;
    if (name.ends_with("_embedding") || name.ends_with("_embeddings"))
      EXPECT_EQ(named.tensor.abs().max().item<double>(), 0.0) << name;
    else if (named.tensor.dim() == 1)
      EXPECT_TRUE(at::equal(named.tensor, at::ones_like(named.tensor))) << name;
    else
      EXPECT_NEAR(named.tensor.std().item<double>(), 0.02, 0.003) << name;
  }
  EXPECT_TRUE(at::isfinite(slots_of(*first, text_of(20))).all().item<bool>());
  const auto again = create_ic_former(golden_config(), *decoder);
  EXPECT_EQ(first->info().fingerprint, again->info().fingerprint);
  const auto other = create_ic_former(golden_config(), *decoder, 2);
  EXPECT_NE(first->info().fingerprint, other->info().fingerprint);
}

TEST_F(IcFormer, WithAConnectorTrainingReachesEveryTensor) {
  load(at::kDouble);
  IcFormerConfig with = golden_config();
  with.connector = true;
  const auto start = create_ic_former(with, *decoder);
  want_gradients(*start);
  const at::Tensor slots = slots_of(*start, text_of(20));
  (slots * at::randn_like(slots)).sum().backward();
  for (const NamedTensor& named : start->parameters()) {
    const bool in_frames_only =
        named.name == "autoencode_embedding" || named.name == "instruct_embedding";
    EXPECT_NE(named.tensor.grad().defined(), in_frames_only) << named.name;
    if (!in_frames_only) {
      EXPECT_GT(named.tensor.grad().abs().max().item<double>(), 0.0) << named.name;
    }
  }
}

}  // namespace
}  // namespace precis
