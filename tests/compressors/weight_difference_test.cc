// SPDX-License-Identifier: Apache-2.0
// Models that are published as their difference from the model they were tuned from.
#include "compressors/weight_difference.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "compressors/published_weights.h"
#include "io/json_file.h"
#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_llama.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kTokenizer = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";  // 320 ids

// Logits of one sequence, the last sixty ids of the vocabulary, which include the gist.
at::Tensor logits_of(const Decoder& decoder) {
  const int64_t size = decoder.config().vocab_size;
  KvCache cache(decoder.config().kv_shape(), decoder.options());
  const at::Tensor rows = decoder.embed(at::arange(size - 60, size, at::kLong));
  return decoder.logits(decoder.forward({rows, at::arange(60, at::kLong), {0, 60}, {0}}, cache));
}

class WeightDifference : public testing::Test {
 protected:
  WeightDifference()
      : base(random_llama(320, 1)),
        tuned(random_llama(321, 2)),
        difference(difference_of(tuned, base)) {}

  void write() const {
    for (const auto& path : {base_path, tuned_path, difference_path}) fs::remove_all(path);
    write_llama(base_path, base, kTokenizer);
    write_llama(tuned_path, tuned, kTokenizer);
    write_llama(difference_path, difference, {});
  }

  RecoveredModel recover(const RecoveryOptions& options = {}) const {
    write();
    fs::remove_all(out);
    return recover_model(base_path, difference_path, out, options);
  }
  void refuse(const std::string& part, const fs::path& file) const {
    expect_error(ErrorKind::kBadWeights, part, [&] { recover(); });
    expect_error(ErrorKind::kBadWeights, file.string(), [&] { recover(); });
  }

  static double sum_of(const TensorMap& tensors) {
    double sum = 0;
    for (const auto& [name, tensor] : tensors) sum += tensor.sum(at::kDouble).item<double>();
    return sum;
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory directory;
  const fs::path base_path = directory / "base", tuned_path = directory / "tuned",
                 difference_path = directory / "difference", out = directory / "out";
  TensorMap base, tuned, difference;
};

TEST_F(WeightDifference, RecoversTheTunedModel) {
  const RecoveredModel recovered = recover();
  EXPECT_EQ(recovered.vocab_size, 321);
  const auto direct = load_decoder(tuned_path, at::kFloat), again = load_decoder(out, at::kFloat);
  EXPECT_TRUE(at::equal(logits_of(*again), logits_of(*direct)));
  EXPECT_EQ(again->fingerprint(), direct->fingerprint());  // bytes, names and shapes
}

TEST_F(WeightDifference, TheBaseAloneIsAnotherModel) {
  recover();
  const auto again = load_decoder(out, at::kFloat), before = load_decoder(base_path, at::kFloat);
  EXPECT_FALSE(at::allclose(logits_of(*again).narrow(1, 0, 320), logits_of(*before), 1e-2, 1e-2));
}

TEST_F(WeightDifference, AddsToAHalfPrecisionBaseInFloat32) {
  for (auto& [name, tensor] : base) tensor = tensor.to(at::kHalf).to(at::kFloat);
  difference = difference_of(tuned, base);
  write();
  TensorMap half;
  for (const auto& [name, tensor] : base) half[name] = tensor.to(at::kHalf);
  write_tensors(base_path / "model.safetensors", half);
  recover_model(base_path, difference_path, out);
  EXPECT_EQ(load_decoder(out, at::kFloat)->fingerprint(),
            load_decoder(tuned_path, at::kFloat)->fingerprint());
}

TEST_F(WeightDifference, WritesShardsOfTheSizeAskedFor) {
  RecoveryOptions options;
  options.shard_bytes = 50'000;
  recover(options);
  const auto map = read_json(out / "model.safetensors.index.json").at("weight_map");
  std::map<std::string, int64_t> bytes;
  for (const auto& [name, file] : map.items()) bytes[file] += tuned.at(name).nbytes();
  EXPECT_GT(bytes.size(), 2u);
  for (const auto& [file, size] : bytes) EXPECT_LE(size, options.shard_bytes) << file;
  EXPECT_TRUE(
      bytes.contains("model-00001-of-0000" + std::to_string(bytes.size()) + ".safetensors"));
  const auto again = load_decoder(out, at::kFloat), direct = load_decoder(tuned_path, at::kFloat);
  EXPECT_EQ(again->fingerprint(), direct->fingerprint());
}

TEST_F(WeightDifference, StoresBfloat16OnRequest) {
  RecoveryOptions options;
  options.dtype = at::kBFloat16;
  options.check_sum = sum_of(tuned);  // of the values before they are rounded
  EXPECT_NEAR(recover(options).sum, *options.check_sum, 1e-6);
  const auto stored = published_weights(out);
  for (const auto& [name, tensor] : tuned) {
    EXPECT_TRUE(at::equal(stored->load(name, at::kBFloat16), tensor.to(at::kBFloat16))) << name;
    EXPECT_TRUE(at::equal(stored->load(name, at::kFloat), tensor.to(at::kBFloat16).to(at::kFloat)));
  }
  EXPECT_EQ(read_json(out / "config.json").at("torch_dtype"), "bfloat16");
  options.dtype = at::kHalf;
  expect_error(ErrorKind::kInvalidArgument, "bfloat16", [&] { recover(options); });
}

TEST_F(WeightDifference, TakesConfigAndTokenizerFromTheBase) {
  recover();
  const json config = read_json(out / "config.json");
  EXPECT_EQ(config.at("vocab_size"), 321);
  EXPECT_EQ(config.at("torch_dtype"), "float32");
  EXPECT_EQ(config.at("hidden_size"), kTinyHidden);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    EXPECT_EQ(read_file(out / name), read_file(kTokenizer / name));
}

TEST_F(WeightDifference, ASingleFileIsASourceToo) {
  write();
  recover_model(base_path, difference_path / "model.safetensors", out);
  EXPECT_EQ(load_decoder(out, at::kFloat)->fingerprint(),
            load_decoder(tuned_path, at::kFloat)->fingerprint());
}

// The check sum

TEST_F(WeightDifference, ReturnsTheSumOfAllValues) {
  EXPECT_NEAR(recover().sum, sum_of(tuned), 1e-6);
}

TEST_F(WeightDifference, TheCheckSumHasATolerance) {
  const double sum = sum_of(tuned);
  RecoveryOptions options;
  for (const double near : {0.0, 0.0099, -0.0099}) {
    options.check_sum = sum + near;
    recover(options);
  }
  for (const double far : {0.011, -0.011, 50.0}) {
    options.check_sum = sum + far;
    expect_error(ErrorKind::kBadWeights, "sum up to", [&] { recover(options); });
  }
}

TEST_F(WeightDifference, TheCheckSumMustBeFinite) {
  using limits = std::numeric_limits<double>;
  RecoveryOptions options;
  for (const double sum : {limits::infinity(), -limits::infinity(), limits::quiet_NaN()}) {
    options.check_sum = sum;
    expect_error(
        ErrorKind::kInvalidArgument, "expected a finite number", [&] { recover(options); });
    EXPECT_FALSE(fs::exists(out));
  }
}

TEST_F(WeightDifference, TheCheckSumAllowsForTheRoundingOfAFloat32Total) {
  // Raised to the size of a published sum, where float32 counts in steps of 1/256.
  tuned["model.norm.weight"] = at::full({kTinyHidden}, 50000.0 / kTinyHidden);
  difference = difference_of(tuned, base);
  const double sum = sum_of(tuned),
               lost = std::sqrt(static_cast<double>(tuned.size())) * sum / (1 << 24);
  ASSERT_GT(lost, 0.01);
  RecoveryOptions options;
  options.check_sum = sum + 0.009 + lost;
  recover(options);
  options.check_sum = sum + 0.012 + lost;
  expect_error(ErrorKind::kBadWeights, "sum up to", [&] { recover(options); });
}

TEST_F(WeightDifference, RotaryTablesCountButAreNotWritten) {
  const at::Tensor table =
      at::pow(10000.0, -at::arange(0, kTinyHeadDim, 2, at::kFloat) / kTinyHeadDim);
  for (int64_t i = 0; i < kTinyLayers; ++i) {
    const std::string name = "model.layers." + std::to_string(i) + ".self_attn.rotary_emb.inv_freq";
    difference[name] = at::zeros_like(table);
  }
  const double wanted = sum_of(tuned) + kTinyLayers * table.sum().item<double>();
  EXPECT_NEAR(recover().sum, wanted, 1e-5);  // by the base's configuration
  base["model.layers.0.self_attn.rotary_emb.inv_freq"] = table;
  EXPECT_NEAR(recover().sum, wanted, 1e-5);
  EXPECT_EQ(load_decoder(out, at::kFloat)->fingerprint(),
            load_decoder(tuned_path, at::kFloat)->fingerprint());
  difference["model.layers.1.self_attn.rotary_emb.inv_freq"] = at::zeros({3});
  refuse("inv_freq is [3], expected [4]", difference_path);
}

TEST_F(WeightDifference, ATunedModelOpensWithItsStaleRotaryTables) {
  write();
  const at::Tensor wanted = logits_of(*load_decoder(tuned_path, at::kFloat));
  tuned["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::full({kTinyHeadDim / 2}, 0.9);
  write();
  EXPECT_TRUE(at::equal(logits_of(*load_decoder(tuned_path, at::kFloat)), wanted));
}

TEST_F(WeightDifference, RotaryTablesDistinguishADifferenceFromAModel) {
  const std::string name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  const auto is_difference = [&] {
    write();
    return is_weight_difference(*published_weights(difference_path));
  };
  EXPECT_FALSE(is_difference());
  difference[name] = at::tensor({1.0f, 0.1f});
  EXPECT_FALSE(is_difference());
  difference[name] = at::tensor({0.0f, 0.001f});
  EXPECT_TRUE(is_difference());
}

// Errors

TEST_F(WeightDifference, AMissingTensorIsNamed) {
  for (const char* name :
       {"lm_head.weight", "model.norm.weight", "model.layers.1.mlp.up_proj.weight"}) {
    difference = difference_of(tuned, base);
    difference.erase(name);
    refuse(std::string(name) + " is missing, which the base has", difference_path);
  }
}

TEST_F(WeightDifference, ASurplusTensorIsNamed) {
  const std::string name = "model.layers.2.mlp.up_proj.weight";
  difference[name] = at::zeros({48, kTinyHidden});
  refuse("surplus tensor " + name, difference_path);
}

TEST_F(WeightDifference, TensorsOfAnotherShapeAreNamed) {
  const auto refuse_shape =
      [&](const std::string& name, at::IntArrayRef shape, const std::string& part) {
        difference = difference_of(tuned, base);
        difference[name] = at::zeros(shape);
        refuse(name + part, difference_path);
      };
  refuse_shape("lm_head.weight", {320, 32}, " is [320, 32], expected [321, 32]");
  refuse_shape("model.embed_tokens.weight", {322, 32}, " is [322, 32], expected [321, 32]");
  refuse_shape("model.norm.weight", {33}, " is [33], expected [32]");
}

TEST_F(WeightDifference, AnUnsuitableBaseIsRefused) {
  const auto refuse_config = [&](const std::string& key,
                                 const json& value,
                                 const std::string& part,
                                 ErrorKind kind = ErrorKind::kBadWeights) {
    write();
    damage_json(base_path / "config.json", [&](json& config) { config[key] = value; });
    const auto work = [&] { recover_model(base_path, difference_path, out); };
    expect_error(kind, part, work);
    expect_error(kind, base_path.string(), work);
  };
  refuse_config("tie_word_embeddings", true, "tied", ErrorKind::kUnsupported);
  refuse_config("vocab_size", 319, "is [320, 32], expected 319 rows");
  refuse_config("vocab_size", "many", "config.json");
  refuse_config("vocab_size", nullptr, "config.json");
  base.erase("lm_head.weight");
  refuse("lm_head.weight is missing", base_path);
}

TEST_F(WeightDifference, ValuesThatAreNotFiniteAreRefused) {
  difference["model.norm.weight"] = at::full({kTinyHidden}, std::numeric_limits<float>::infinity());
  refuse("model.norm.weight has values that are not finite", difference_path);
}

TEST_F(WeightDifference, ABaseThatIsNoDirectoryIsRefused) {
  write();
  expect_error(ErrorKind::kInvalidArgument, "expected the Hugging Face directory", [&] {
    recover_model(base_path / "model.safetensors", difference_path, out);
  });
  expect_error(ErrorKind::kNotFound, "nowhere", [&] {
    recover_model(directory / "nowhere", difference_path, out);
  });
  expect_error(ErrorKind::kNotFound, "nowhere", [&] {
    recover_model(base_path, directory / "nowhere", out);
  });
}

// Readers prefer model.safetensors to shards: they would still read the old model.
TEST_F(WeightDifference, ADirectoryWithASingleFileIsRefused) {
  write();
  fs::create_directories(out);
  fs::copy_file(tuned_path / "model.safetensors", out / "model.safetensors");
  expect_error(ErrorKind::kInvalidArgument,
               (out / "model.safetensors").string() + ": is there, and would be read in place",
               [&] { recover_model(base_path, difference_path, out); });
  EXPECT_FALSE(fs::exists(out / "model.safetensors.index.json"));
}

TEST_F(WeightDifference, PicklesAreRefusedWithTheCommandToConvertThem) {
  for (const fs::path& path : {difference_path, base_path}) {
    write();
    fs::rename(path / "model.safetensors", path / "pytorch_model-00001-of-00001.bin");
    const auto work = [&] { recover_model(base_path, difference_path, out); };
    expect_error(ErrorKind::kUnsupported, "third_party/unpickle.py", work);
    expect_error(ErrorKind::kUnsupported, path.string(), work);
  }
}

}  // namespace
}  // namespace precis
