// SPDX-License-Identifier: Apache-2.0
// Gisting against a restatement of its specification in PyTorch (golden/make_gisting_golden.py),
// which reads everything in one masked pass and caches nothing: keys and values of the gists, what
// the model makes of them, the loss and its gradients. Then what the method promises beside.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "compressors/gist_mask.h"
#include "compressors/gisting.h"
#include "compressors/rebase.h"
#include "io/json_file.h"
#include "io/memory_contents.h"
#include "io/safetensors_weights.h"
#include "models/load_decoder.h"
#include "precis/engine.h"
#include "prompt/splice.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Form = GistingConfig::Form;
using Ids = std::vector<TokenId>;

const fs::path kGolden = fs::path(PRECIS_TEST_GOLDEN_DIR) / "gisting";

fs::path model_path(const std::string& name) {
  return fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / name;
}

std::unique_ptr<Decoder> load_model(const std::string& name, c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  return load_decoder(model_path(name), dtype);
}

json golden(const char* part) { return read_json(kGolden / "cases.json").at(part); }

std::vector<std::string> names_of(const char* part) {
  std::vector<std::string> names;
  const json rows = golden(part);
  for (const auto& [name, ignored] : rows.items()) names.push_back(name);
  return names;
}

GistingConfig golden_config(Form form, int64_t num_gists) {
  const json settings = golden("settings");
  GistingConfig config;
  config.form = form;
  config.num_gists = num_gists;
  if (form == Form::kTuned) config.gist_id = settings.at("gist_id").get<TokenId>();
  config.rank = settings.at("rank");
  config.alpha = settings.at("alpha");
  return config;
}

// Random everywhere, so that nothing can be left out unnoticed.
GistingWeights golden_weights(const GistingConfig& config, const Decoder& decoder) {
  if (config.form == Form::kTuned) return {};
  const DecoderConfig& shape = decoder.config();
  const Weights source(safetensors_file_weights(kGolden / "gisting.safetensors"),
                       decoder.options());
  const auto change = [&](const std::string& name, int64_t outputs) {
    return LowRank{source.take(name + ".lora_A.weight", {config.rank, shape.hidden_size}),
                   source.take(name + ".lora_B.weight", {outputs, config.rank})};
  };
  GistingWeights weights;
  weights.embeddings =
      source.take("gist_embeddings", {5, shape.hidden_size}).narrow(0, 0, config.num_gists).clone();
  const int64_t kv_size = shape.num_kv_heads * shape.head_dim;
  for (int64_t i = 0; i < shape.num_layers; ++i) {
    const std::string layer = "layers." + std::to_string(i);
    AdapterLayer adapted;
    if (i + 1 < shape.num_layers)
      adapted.query = change(layer + ".q_proj", shape.num_heads * shape.head_dim);
    adapted.key = change(layer + ".k_proj", kv_size);
    adapted.value = change(layer + ".v_proj", kv_size);
    weights.adapter.layers.push_back(adapted);
  }
  return weights;
}

std::unique_ptr<Compressor> make_golden(const GistingConfig& config, const Decoder& decoder) {
  return make_gisting(config, golden_weights(config, decoder), decoder);
}

double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor wide = expected.to(at::kDouble);
  const at::Tensor difference = (actual.to(at::kDouble) - wide).abs().max();
  return (difference / wide.abs().max().clamp_min(1e-3)).item<double>();
}

const CachedTokens& cached_of(const MemoryTensors& memory) {
  return std::get<CachedTokens>(memory);
}

void expect_alike(const MemoryTensors& actual, const MemoryTensors& expected, double tolerance) {
  const CachedTokens &a = cached_of(actual), &b = cached_of(expected);
  EXPECT_EQ(a.first_position, b.first_position);
  EXPECT_EQ(a.next_position, b.next_position);
  EXPECT_LE(largest_difference(a.keys, b.keys), tolerance);
  EXPECT_LE(largest_difference(a.values, b.values), tolerance);
}

PromptPart memory_part(MemoryTensors tensors) {
  return {{},
          Prompt::Treatment::kKeep,
          Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(tensors), {}}))};
}

PromptPart text_part(const Ids& ids) { return {ids, Prompt::Treatment::kKeep, std::nullopt}; }

Segment segment_of(int64_t size, int64_t first = 5) {
  Segment segment;
  for (int64_t i = 0; i < size; ++i) segment.tokens.push_back(first + (i * 37) % 80);
  return segment;
}

// Final hidden states of the prompt's own rows, [n, hidden].
at::Tensor read(const SplicedPrompt& prompt, const Decoder& decoder) {
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  preload(prompt, decoder, cache, 0);
  return decoder.forward({prompt.embeddings, prompt.positions, {0, prompt.embeddings.size(0)}, {0}},
                         cache);
}

// Against the masked pass.

class GistingGolden : public testing::TestWithParam<std::string> {
 protected:
  GistingGolden()
      : expected(SafetensorsFile::open(kGolden / "expected.safetensors")),
        wanted_case(golden("cases").at(GetParam())),
        suffix(wanted_case.at("suffix").get<Ids>()) {}

  void load(c10::ScalarType dtype) {
    decoder = load_model("llama", dtype);
    GistingConfig config = golden_config(
        wanted_case.at("form") == "tuned" ? Form::kTuned : Form::kFrozen, wanted_case.at("k"));
    config.before_text = wanted_case.at("before").get<Ids>();
    compressor = make_golden(config, *decoder);
  }

  MemoryTensors compress() const {
    const Segment segment{wanted_case.at("segment").get<Ids>(), nullptr};
    return compressor->compress({&segment, 1}, {}).front();
  }

  SplicedPrompt prompt(MemoryTensors memory) const {
    return splice(std::vector{memory_part(std::move(memory)), text_part(suffix)}, *decoder);
  }

  at::Tensor wanted(const std::string& name) const {
    return to_tensor(*expected.find(GetParam() + "." + name));
  }

  SafetensorsFile expected;
  json wanted_case;
  Ids suffix;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_P(GistingGolden, KeysAndValuesOfTheGistsAgree) {
  const c10::NoGradGuard no_grad;
  for (const auto& [dtype, tolerance] : {std::pair(at::kFloat, 1e-4), {at::kDouble, 1e-5}}) {
    load(dtype);
    const MemoryTensors memory = compress();
    EXPECT_EQ(cached_of(memory).keys.scalar_type(), dtype);
    EXPECT_EQ(cached_of(memory).keys.sizes(), wanted("keys").sizes());
    EXPECT_LT(largest_difference(cached_of(memory).keys, wanted("keys")), tolerance);
    EXPECT_LT(largest_difference(cached_of(memory).values, wanted("values")), tolerance);
  }
}

TEST_P(GistingGolden, TheSuffixGoesOnAtItsOriginalPosition) {
  const c10::NoGradGuard no_grad;
  load(at::kFloat);
  const MemoryTensors memory = compress();
  const auto text =
      static_cast<int64_t>(wanted_case.at("before").size() + wanted_case.at("segment").size());
  const int64_t k = wanted_case.at("k");
  EXPECT_EQ(cached_of(memory).first_position, text);
  EXPECT_EQ(cached_of(memory).next_position, text + k);
  EXPECT_TRUE(at::equal(prompt(memory).positions,
                        at::arange(text + k, text + k + std::ssize(suffix), at::kLong)));
}

TEST_P(GistingGolden, CachedGistsReadLikeTheMaskedText) {
  const c10::NoGradGuard no_grad;
  for (const auto& [dtype, tolerance] : {std::pair(at::kFloat, 1e-4), {at::kDouble, 1e-5}}) {
    load(dtype);
    const at::Tensor logits = decoder->logits(read(prompt(compress()), *decoder));
    EXPECT_LT(largest_difference(logits, wanted("logits")), tolerance);
  }
}

TEST_P(GistingGolden, LossAndGradientsAgree) {
  load(at::kDouble);
  const std::vector<NamedTensor> parameters = compressor->parameters();
  EXPECT_EQ(parameters.size(), wanted_case.at("form") == "tuned" ? 0u : 17u);
  for (const NamedTensor& named : parameters) named.tensor.requires_grad_(true);
  const auto completion = suffix.end() - wanted_case.at("completion").get<int64_t>();
  TrainingExample example{{wanted_case.at("segment").get<Ids>(), nullptr},
                          {completion, suffix.end()}};
  example.prompt.assign(suffix.begin(), completion);
  const PredictedBatch batch = predict(*decoder, *compressor, {&example, 1}, {});
  const double loss = cross_entropy(*decoder, batch, /*backward=*/!parameters.empty());
  EXPECT_NEAR(loss, wanted("loss").item<double>(), 1e-5 * loss);
  for (const NamedTensor& named : parameters) {
    ASSERT_TRUE(named.tensor.grad().defined()) << named.name;
    EXPECT_LT(largest_difference(named.tensor.grad(), wanted("gradient." + named.name)), 3e-5)
        << named.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         GistingGolden,
                         testing::ValuesIn(names_of("cases")),
                         [](const auto& test) { return test.param; });

// What it promises beside.

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
  void refuse_options(const std::string& part, const Change& change) const {
    CompressOptions options;
    change(options);
    const Segment segment = segment_of(10);
    expect_error(ErrorKind::kInvalidArgument, part, [&] {
      compressor->compress({&segment, 1}, options);
    });
    expect_error(ErrorKind::kInvalidArgument, part, [&] { compressor->memory_size(10, options); });
  }

  template <typename Change>
  void refuse_config(const std::string& part, const Change& change) const {
    GistingConfig changed = config;
    change(changed);
    expect_error(ErrorKind::kInvalidArgument, part, [&] { create_gisting(changed, *decoder); });
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

TEST_P(GistingForms, EqualSegmentsSideBySideEqualSingles) {
  const std::vector<Segment> segments{segment_of(24), segment_of(24, 9), segment_of(24, 11)};
  const auto batch = compressor->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i) expect_alike(batch[i], compress(segments[i]), 1e-4);
}

TEST_P(GistingForms, ManySegmentsTakeMoreThanOnePass) {
  std::vector<Segment> segments;
  for (int64_t i = 0; i < 12; ++i) segments.push_back(segment_of(480, 5 + i));
  std::vector<double> heard;
  CompressOptions options;
  options.progress = [&](double done) { heard.push_back(done); };
  const auto memories = compressor->compress(segments, options);
  ASSERT_EQ(memories.size(), 12u);
  expect_alike(memories[0], compress(segments[0]), 1e-4);
  expect_alike(memories[11], compress(segments[11]), 1e-4);
  EXPECT_EQ(heard.size(), 2u);
  EXPECT_DOUBLE_EQ(heard.back(), 1.0);
}

TEST_P(GistingForms, WithGradientsOnTheMemoriesAreTheSame) {
  const std::vector<Segment> segments{segment_of(7), segment_of(40, 9)};
  const auto without = compressor->compress(segments, {});
  const c10::AutoGradMode with(true);
  for (const NamedTensor& named : compressor->parameters()) named.tensor.requires_grad_(true);
  const auto memories = compressor->compress(segments, {});
  for (size_t i = 0; i < segments.size(); ++i) expect_alike(memories[i], without[i], 1e-4);
  EXPECT_EQ(cached_of(memories[0]).keys.requires_grad(), GetParam() == Form::kFrozen);
}

TEST_P(GistingForms, ComesBackFromItsFilesUnchanged) {
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
  EXPECT_EQ(std::get<Ids>(loaded->frame(MemoryUse::kInstruct).after.front()), config.after);
  EXPECT_EQ(std::get<Ids>(loaded->frame(MemoryUse::kInstruct).end.front()), config.end);
}

TEST_P(GistingForms, TellsWhatItIs) {
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

TEST_P(GistingForms, WhatIsReadBesideTheTextIsInTheFingerprint) {
  const std::string own = compressor->info().fingerprint;
  GistingConfig other = config;
  other.before_text = {1, 3};
  EXPECT_NE(make_golden(other, *decoder)->info().fingerprint, own);
  other = config;
  other.num_gists = 3;
  EXPECT_NE(make_golden(other, *decoder)->info().fingerprint, own);
}

TEST_P(GistingForms, TheFrameStandsBehindTheMemoryOnly) {
  const MemoryFrame instruct = compressor->frame(MemoryUse::kInstruct);
  EXPECT_TRUE(instruct.before.empty());
  EXPECT_EQ(std::get<Ids>(instruct.after.at(0)), config.after);
  EXPECT_EQ(std::get<Ids>(instruct.end.at(0)), config.end);
  EXPECT_TRUE(instruct.answer_ends.empty());
  const MemoryFrame go_on = compressor->frame(MemoryUse::kContinue);
  EXPECT_TRUE(go_on.before.empty() && go_on.after.empty() && go_on.end.empty());
  expect_error(ErrorKind::kUnsupported, "say a text again", [&] {
    compressor->frame(MemoryUse::kAutoencode);
  });
}

TEST_P(GistingForms, RefusesSegmentsThatItCannotRead) {
  const auto refuse = [&](const std::string& part, const Segment& segment) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { compress(segment); });
  };
  refuse("an empty segment", Segment());
  refuse(
      "a segment of 501 tokens is over the limit of 500; a cached memory cannot be made of parts",
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
  expect_error(ErrorKind::kInvalidArgument, "513 rows", [&] { compress(segment_of(509)); });
}

TEST_P(GistingForms, RefusesOptionsThatItCannotObey) {
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

TEST_P(GistingForms, RefusesConfigurationsThatCannotBe) {
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

// Trap 14 of the reference: where a sequence ends on a gist, its last row sees the whole prompt,
// and so would all that is drawn after it.
TEST_P(GistingForms, ASequenceThatEndsOnAGistIsNeverSampledFrom) {
  const Segment segment = segment_of(12);
  const MemoryTensors tensors = compress(segment);
  const char* problem = "nothing follows the memory";
  expect_error(ErrorKind::kInvalidArgument, problem, [&] {
    splice(std::vector{memory_part(tensors)}, *decoder);
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
  expect_error(ErrorKind::kInvalidArgument, problem, [&] {
    engine.score_ids(ends_on_gist, Ids{5, 6});
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

class GistingFiles : public testing::Test {
 protected:
  GistingFiles() : decoder(load_model("llama", at::kFloat)) {}

  void save(Form form) {
    make_golden(golden_config(form, 2), *decoder)->save(directory.path());
    good = read_json(description);
  }

  void refuse(const fs::path& file, const std::string& part) const {
    const auto load = [&] { load_gisting(open_compressor(directory.path()), *decoder); };
    expect_error(ErrorKind::kBadWeights, part, load);
    expect_error(ErrorKind::kBadWeights, file.string(), load);
  }

  void refuse_value(const std::string& key, const json& value, const std::string& part) const {
    json changed = good;
    changed[key] = value;
    overwrite(description, changed.dump());
    refuse(description, part);
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory directory;
  const fs::path description = directory / "compressor.json";
  const fs::path tensors = directory / "compressor.safetensors";
  std::unique_ptr<Decoder> decoder;
  json good;
};

TEST_F(GistingFiles, TheTunedFormHasAFileWithoutTensors) {
  save(Form::kTuned);
  EXPECT_TRUE(SafetensorsFile::open(tensors).tensors().empty());
  EXPECT_FALSE(good.contains("rank"));
  damage_tensors(tensors, [](TensorFile& file) { file.add({"extra", "F32", {1}, "four"}); });
  refuse(tensors, "surplus tensor extra");
  fs::remove(tensors);
  expect_error(ErrorKind::kNotFound, tensors.string(), [&] {
    load_gisting(open_compressor(directory.path()), *decoder);
  });
}

TEST_F(GistingFiles, AMissingTensorIsNamed) {
  save(Form::kFrozen);
  for (const std::string name :
       {"gist_embeddings", "layers.0.q_proj.lora_A.weight", "layers.2.v_proj.lora_B.weight"}) {
    const TensorFile whole(tensors);
    damage_tensors(tensors, [&](TensorFile& file) { file.remove(name); });
    refuse(tensors, name + " is missing");
    whole.write(tensors);
  }
}

TEST_F(GistingFiles, OtherCountsThanTheTensorsHaveAreNamed) {
  save(Form::kFrozen);
  const std::string shape = "gist_embeddings is [2, 32], expected [3, 32]";
  json changed = good;
  changed["num_gists"] = 3;
  overwrite(description, changed.dump());
  refuse(tensors, shape);
  changed = good;
  changed["rank"] = 0;
  overwrite(description, changed.dump());
  refuse(tensors, "surplus tensor layers.0.");
  changed["rank"] = 5;
  overwrite(description, changed.dump());
  refuse(tensors, "lora_A.weight is [4, 32], expected [5, 32]");
}

TEST_F(GistingFiles, ValuesThatCannotBeAreNamed) {
  save(Form::kFrozen);
  refuse_value("form", "melted", "form is \"melted\", expected \"tuned\" or \"frozen\"");
  refuse_value("form", 7, "form");
  for (const char* key : {"num_gists", "max_segment", "rank"}) {
    for (const json& value : {json("2"), json(2.5), json(nullptr), json(-1), json(1e300)})
      refuse_value(key, value, key);
  }
  refuse_value("alpha", "much", "alpha");
  refuse_value("alpha", nullptr, "alpha is missing");
  refuse_value("num_gists", 513, "num_gists is 513, expected 1 to 512");
  refuse_value("gist_id", 311, "the frozen form has no use for a gist_id");
  refuse_value("before_text", 5, "before_text");
  refuse_value("after", {320}, "id 320 is outside the model's vocabulary of 320");
  refuse_value("end", {1, "x"}, "end");
}

TEST_F(GistingFiles, TheGistOfATunedFormHasToBeThere) {
  save(Form::kTuned);
  refuse_value("gist_id", nullptr, "the tuned form needs a gist_id");
  refuse_value("gist_id", 320, "id 320 is outside the model's vocabulary of 320");
  refuse_value("gist_id", "311", "gist_id");
  refuse_value("before_text", {1, 311}, "the gist 311 stands in the template");
}

TEST_F(GistingFiles, AnotherModelIsNamed) {
  save(Form::kTuned);
  const auto other = load_model("qwen2", at::kFloat);
  expect_error(ErrorKind::kBadWeights, "made for a model", [&] {
    load_gisting(open_compressor(directory.path()), *other);
  });
}

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

TEST_F(FreshGisting, EveryParameterTakesAGradient) {
  const c10::AutoGradMode with(true);
  const auto fresh = create_gisting(config, *decoder);
  for (const NamedTensor& named : fresh->parameters()) named.tensor.requires_grad_(true);
  const Segment segment = segment_of(20);
  const CachedTokens memory = cached_of(fresh->compress({&segment, 1}, {}).front());
  (memory.keys.square().sum() + memory.values.square().sum()).backward();
  for (const NamedTensor& named : fresh->parameters()) {
    ASSERT_TRUE(named.tensor.grad().defined()) << named.name;
    // B is zero, so that nothing reaches A yet.
    if (!named.name.ends_with("lora_A.weight")) {
      EXPECT_GT(named.tensor.grad().abs().max().item<double>(), 0.0) << named.name;
    }
  }
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

// The mask.

class GistMask : public testing::TestWithParam<std::string> {};

TEST_P(GistMask, IsTheRulesCellByCell) {
  const SafetensorsFile expected = SafetensorsFile::open(kGolden / "expected.safetensors");
  const json row = golden("masks").at(GetParam());
  const Ids ids = row.at("ids");
  const GistSpan gists = find_gists(ids, golden("settings").at("gist_id"));
  const std::pair<const char*, GistAttention> kinds[] = {
      {"gist", GistAttention::kGist},
      {"positive", GistAttention::kPositiveControl},
      {"negative", GistAttention::kNegativeControl}};
  for (const auto& [name, attention] : kinds) {
    const at::Tensor wanted =
        to_tensor(*expected.find("mask." + GetParam() + "." + std::string(name)));
    EXPECT_TRUE(at::equal(gist_mask(std::ssize(ids), gists, attention, row.at("padding")), wanted))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Rows,
                         GistMask,
                         testing::ValuesIn(names_of("masks")),
                         [](const auto& test) { return test.param; });

TEST(GistMaskRule, RowsBehindTheGistsSeeTheGistsAndEachOther) {
  const at::Tensor mask = gist_mask(10, {5, 2});
  EXPECT_TRUE(
      at::equal(mask[7].to(at::kLong), at::tensor({0, 0, 0, 0, 0, 1, 1, 1, 0, 0}, at::kLong)));
  EXPECT_TRUE(
      at::equal(mask[9].to(at::kLong), at::tensor({0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, at::kLong)));
  EXPECT_TRUE(
      at::equal(mask[6].to(at::kLong), at::tensor({1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, at::kLong)));
}

TEST(GistMaskRule, NoRowIsEmpty) {
  EXPECT_TRUE(gist_mask(6, {4, 1}, GistAttention::kNegativeControl, 3).any(1).all().item<bool>());
}

TEST(GistMaskRule, GistsHaveToFollowEachOther) {
  EXPECT_EQ(find_gists(Ids{4, 9, 9, 5}, 9).first, 1);
  EXPECT_EQ(find_gists(Ids{4, 9, 9, 5}, 9).size, 2);
  EXPECT_EQ(find_gists(Ids{4, 5}, 9).size, 0);
  expect_error(ErrorKind::kInvalidArgument, "one stands in row 3", [] {
    find_gists(Ids{9, 9, 4, 9}, 9);
  });
}

TEST(GistMaskRule, RefusesSpansThatTheRowsDoNotHold) {
  const auto refuse = [](int64_t rows, GistSpan gists, int64_t padding) {
    expect_error(ErrorKind::kInvalidArgument, "gist_mask", [&] {
      gist_mask(rows, gists, GistAttention::kGist, padding);
    });
  };
  refuse(0, {}, 0);
  refuse(4, {3, 2}, 0);
  refuse(4, {-1, 2}, 0);
  refuse(4, {0, -1}, 0);
  refuse(4, {1, 2}, 2);
  refuse(4, {}, 5);
  refuse(4, {}, -1);
}

// Rows of a cache.

TEST(CacheRows, AreTheRowsThatWereAppended) {
  const c10::NoGradGuard no_grad;
  KvCache cache({2, 3, 4}, at::kFloat, 2);
  const at::Tensor keys = at::arange(60, at::kFloat).view({3, 5, 4}), values = keys + 100;
  for (int64_t layer = 0; layer < 2; ++layer) cache.append(layer, 1, keys + layer, values + layer);
  const auto [k, v] = cache.rows(1, 1, 2, 3);
  EXPECT_TRUE(at::equal(k, (keys + 1).narrow(1, 2, 3)));
  EXPECT_TRUE(at::equal(v, (values + 1).narrow(1, 2, 3)));
}

TEST(CacheRows, AreSeenThroughByAutograd) {
  KvCache cache({1, 1, 2}, at::kDouble);
  const at::Tensor constant = at::ones({1, 2, 2}, at::kDouble);
  const at::Tensor trained = at::ones({1, 3, 2}, at::kDouble).requires_grad_(true);
  cache.append(0, 0, constant, constant);
  cache.append(0, 0, trained * 2, trained * 3);
  const auto [k, v] = cache.rows(0, 0, 3, 2);
  (k + v).sum().backward();
  EXPECT_TRUE(
      at::equal(trained.grad().sum(2).squeeze(0), at::tensor({0.0, 10.0, 10.0}, at::kDouble)));
}

TEST(CacheRows, ThatAreNotThereAreRefused) {
  const c10::NoGradGuard no_grad;
  KvCache cache({1, 1, 2}, at::kFloat);
  const auto refuse = [&](int64_t first, int64_t count) {
    expect_error(ErrorKind::kInvalidArgument, "cache", [&] { cache.rows(0, 0, first, count); });
  };
  refuse(0, 1);
  cache.append(0, 0, at::ones({1, 3, 2}), at::ones({1, 3, 2}));
  refuse(2, 2);
  refuse(-1, 2);
  refuse(0, 0);
  refuse(0, 4);
}

// Other positions.

class Rebase : public testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kText = 17, kGists = 3;

  Rebase() : decoder(load_model(GetParam(), at::kDouble)) {}

  // The last rows of a text whose first row takes the position `start`.
  CachedTokens memory_at(int64_t start) const {
    const int64_t length = kText + kGists;
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    decoder->forward({decoder->embed(at::arange(5, 5 + length, at::kLong)),
                      at::arange(start, start + length, at::kLong),
                      {0, length},
                      {0}},
                     cache);
    std::vector<at::Tensor> keys, values;
    for (int64_t layer = 0; layer < decoder->config().num_layers; ++layer) {
      const auto [k, v] = cache.rows(layer, 0, kText, kGists);
      keys.push_back(k);
      values.push_back(v);
    }
    return {at::stack(keys), at::stack(values), start + kText, start + length};
  }

  at::Tensor logits_after(const CachedTokens& memory) const {
    return decoder->logits(read(
        splice(std::vector{memory_part(memory), text_part({30, 31, 32, 33})}, *decoder), *decoder));
  }

  CachedTokens rebased(const CachedTokens& memory, int64_t first) const {
    return rebase(memory, decoder->config(), first);
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
};

TEST_P(Rebase, EqualsComputingItThere) {
  const CachedTokens near = memory_at(0), far = memory_at(40);
  EXPECT_GT(largest_difference(near.keys, far.keys), 0.05);
  expect_alike(rebased(near, 40 + kText), far, 1e-4);
  expect_alike(rebased(far, kText), near, 1e-4);
}

TEST_P(Rebase, BackAndForthIsTheIdentity) {
  const CachedTokens memory = memory_at(3);
  expect_alike(rebased(memory, memory.first_position), memory, 1e-12);
  const CachedTokens there = rebased(memory, 400);
  EXPECT_EQ(there.first_position, 400);
  EXPECT_EQ(there.next_position, 400 + kGists);
  expect_alike(rebased(there, memory.first_position), memory, 1e-12);
  CachedTokens narrow = memory;
  narrow.keys = narrow.keys.to(at::kFloat);
  const CachedTokens back = rebased(rebased(narrow, 400), memory.first_position);
  EXPECT_EQ(back.keys.scalar_type(), at::kFloat);
  EXPECT_LT(largest_difference(back.keys, narrow.keys), 1e-6);
}

TEST_P(Rebase, WhatFollowsReadsItAlike) {
  const CachedTokens memory = memory_at(0);
  EXPECT_LT(largest_difference(logits_after(rebased(memory, 90)), logits_after(memory)), 1e-4);
  CachedTokens misplaced = memory;
  misplaced.first_position += 73;
  misplaced.next_position += 73;
  EXPECT_GT(largest_difference(logits_after(misplaced), logits_after(memory)), 1e-3);
}

TEST_P(Rebase, RefusesPositionsOutsideTheWindowAndOtherShapes) {
  const CachedTokens memory = memory_at(0);
  const auto refuse = [&](const CachedTokens& wrong, int64_t first, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { rebased(wrong, first); });
  };
  const int64_t window = decoder->config().context_length;
  EXPECT_EQ(rebased(memory, window - kGists).next_position, window);
  refuse(memory, window - kGists + 1, "outside the model's window");
  refuse(memory, std::numeric_limits<int64_t>::max(), "outside the model's window");
  refuse(memory, -1, "outside the model's window");
  CachedTokens wrong = memory;
  wrong.keys = memory.keys.narrow(0, 0, 1);
  refuse(wrong, 0, "rebase: the memory has keys");
}

INSTANTIATE_TEST_SUITE_P(
    Models,
    Rebase,
    testing::Values("llama", "llama3_rope", "llama_yarn_rope", "mistral_window", "gemma3_text"),
    [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace precis
