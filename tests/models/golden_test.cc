// SPDX-License-Identifier: Apache-2.0
// Every architecture against transformers: tiny random models and what transformers computes for
// them (golden/make_model_golden.py).
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "io/safetensors_weights.h"
#include "precis/extend/load_decoder.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models";

// The expected results of a model directory or GGUF file.
SafetensorsFile expected_for(const fs::path& model) {
  const fs::path directory = fs::is_directory(model) ? model : fs::path(model).replace_extension();
  return SafetensorsFile::open(directory / "expected.safetensors");
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kModels))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

double relative_difference(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual.to(at::kFloat) - expected).abs().max() / expected.abs().max()).item<double>();
}

class GoldenModel : public testing::TestWithParam<std::string> {
 protected:
  explicit GoldenModel(c10::ScalarType dtype)
      : decoder(load_decoder(kModels / GetParam(), dtype)),
        cache(decoder->config().kv_shape(), decoder->options()) {
    const SafetensorsFile file = expected_for(kModels / GetParam());
    ids = to_tensor(*file.find("ids"));
    logits = to_tensor(*file.find("logits"));
    hidden = to_tensor(*file.find("hidden"));
  }

  at::Tensor read(int64_t first, int64_t last) {
    const at::Tensor rows = decoder->embed(ids.slice(0, first, last));
    return decoder->forward({rows, at::arange(first, last), {0, last - first}, {0}}, cache);
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  KvCache cache;
  at::Tensor ids, logits, hidden;
};

class Golden : public GoldenModel {
 protected:
  Golden() : GoldenModel(at::kFloat) {}
};

TEST_P(Golden, AgreesWithTransformersInOnePass) {
  const at::Tensor actual = read(0, ids.size(0));
  EXPECT_LT(relative_difference(actual, hidden), 1e-4);
  EXPECT_LT(relative_difference(decoder->logits(actual), logits), 1e-4);
}

TEST_P(Golden, AgreesWithTransformersTokenByToken) {
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < ids.size(0); ++i) rows.push_back(read(i, i + 1));
  EXPECT_LT(relative_difference(at::cat(rows, 0), hidden), 1e-4);
}

TEST_P(Golden, AgreesWithTransformersInChunks) {
  const int64_t border = ids.size(0) / 3;
  const at::Tensor actual = at::cat({read(0, border), read(border, ids.size(0))}, 0);
  EXPECT_LT(relative_difference(actual, hidden), 1e-4);
}

// The expectation is float32's; bfloat16 is off by a few percent.
constexpr double kBFloat16Tolerance = 5e-2;

class GoldenInBFloat16 : public GoldenModel {
 protected:
  GoldenInBFloat16() : GoldenModel(at::kBFloat16) {}
};

TEST_P(GoldenInBFloat16, IsNearTransformersInOnePass) {
  const at::Tensor actual = read(0, ids.size(0));
  EXPECT_EQ(actual.scalar_type(), at::kBFloat16);
  EXPECT_LT(relative_difference(actual, hidden), kBFloat16Tolerance);
  EXPECT_LT(relative_difference(decoder->logits(actual), logits), kBFloat16Tolerance);
}

TEST_P(GoldenInBFloat16, IsNearTransformersTokenByToken) {
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < ids.size(0); ++i) rows.push_back(read(i, i + 1));
  const at::Tensor actual = at::cat(rows, 0);
  EXPECT_LT(relative_difference(actual, hidden), kBFloat16Tolerance);
  EXPECT_LT(relative_difference(decoder->logits(actual), logits), kBFloat16Tolerance);
}

TEST_P(GoldenInBFloat16, IsNearTransformersInChunks) {
  const int64_t border = ids.size(0) / 3;
  const at::Tensor actual = at::cat({read(0, border), read(border, ids.size(0))}, 0);
  EXPECT_LT(relative_difference(actual, hidden), kBFloat16Tolerance);
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Models, Golden, testing::ValuesIn(model_names()), test_name);
INSTANTIATE_TEST_SUITE_P(Models, GoldenInBFloat16, testing::ValuesIn(model_names()), test_name);

}  // namespace
}  // namespace precis
