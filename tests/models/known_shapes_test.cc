// SPDX-License-Identifier: Apache-2.0
// Shapes of models: by name, and from files without reading weights.
#include <gtest/gtest.h>

#include <filesystem>

#include "precis/extend/cost.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/shapes.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

int64_t parameters_of(const std::string& name_or_path) {
  return count_parameters(model_shape(name_or_path));
}

TEST(KnownShapes, HaveThePublishedNumbersOfParameters) {
  EXPECT_EQ(parameters_of("llama-2-7b"), 6738415616);
  EXPECT_EQ(parameters_of("llama-2-13b"), 13015864320);
  EXPECT_EQ(parameters_of("mistral-7b"), 7241732096);
  EXPECT_EQ(parameters_of("smollm2-135m"), 134515008);
  EXPECT_EQ(parameters_of("qwen2.5-0.5b"), 494032768);
}

TEST(KnownShapes, AreCompleteConfigurations) {
  const DecoderConfig mistral = model_shape("mistral-7b");
  EXPECT_EQ(mistral.architecture, "mistral");
  EXPECT_EQ(mistral.num_kv_heads, 8);
  EXPECT_EQ(mistral.head_dim, 128);
  EXPECT_EQ(mistral.context_length, 32768);
  EXPECT_EQ(mistral.window, 0);
  EXPECT_EQ(mistral.windowed.size(), 32u);
  EXPECT_EQ(mistral.rope.base, 1e6);
  EXPECT_TRUE(model_shape("qwen2.5-0.5b").qkv_bias);
  EXPECT_TRUE(model_shape("smollm2-135m").tied_head);
}

TEST(ModelShape, OfFilesCountsTheParametersThatTheModelHas) {
  int64_t models = 0;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const int64_t loaded = load_decoder(entry.path(), at::kFloat)->num_parameters();
    EXPECT_EQ(parameters_of(entry.path()), loaded) << entry.path();
    if (entry.is_directory()) {
      EXPECT_EQ(parameters_of(entry.path() / "config.json"), loaded);
    }
    ++models;
  }
  EXPECT_GE(models, 10);
}

TEST(ModelShape, BadNamesAndFilesAreNamed) {
  expect_error(ErrorKind::kNotFound, "llama-3-900b: no such", [] { model_shape("llama-3-900b"); });
  expect_error(ErrorKind::kNotFound, "known: llama-2-7b", [] { model_shape(""); });
  const TemporaryDirectory directory;
  expect_error(ErrorKind::kNotFound, "config.json", [&] { model_shape(directory.path()); });
  const fs::path config = directory / "config.json";
  overwrite(config, "[]");
  expect_error(ErrorKind::kBadWeights, "config.json", [&] { model_shape(config); });
  overwrite(config, R"({"model_type": "mamba"})");
  expect_error(ErrorKind::kUnsupported, "mamba", [&] { model_shape(directory.path()); });
  const fs::path junk = directory / "junk.gguf";
  overwrite(junk, "not a model at all, sorry");
  expect_error(ErrorKind::kBadWeights, "junk.gguf", [&] { model_shape(junk); });
}

}  // namespace
}  // namespace precis
