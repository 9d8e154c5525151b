// SPDX-License-Identifier: Apache-2.0
// SelfCP against a restatement of its specification in PyTorch (golden/make_selfcp_golden.py):
// memories, hidden states of the frozen model that reads them, the loss and its gradients, in
// float64.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "compressors/selfcp/selfcp.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"
#include "memory/memory_contents.h"
#include "precis/extend/load_decoder.h"
#include "prompt/splice.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(PRECIS_TEST_GOLDEN_DIR) / "selfcp";
using Ids = std::vector<TokenId>;

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  const nlohmann::json cases = read_json(kGolden / "cases.json");
  for (const auto& [name, ignored] : cases.items()) names.push_back(name);
  return names;
}

std::unique_ptr<Decoder> load_frozen(c10::ScalarType dtype) {
  const c10::NoGradGuard no_grad;
  return load_decoder(fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", dtype);
}

double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max().clamp_min(1e-3)).item<double>();
}

class SelfCpGolden : public testing::TestWithParam<std::string> {
 protected:
  SelfCpGolden()
      : expected(SafetensorsFile::open(kGolden / "expected.safetensors")),
        json(read_json(kGolden / "cases.json").at(GetParam())) {}

  void load(c10::ScalarType dtype) {
    decoder = load_frozen(dtype);
    const Weights source(safetensors_file_weights(kGolden / "selfcp.safetensors"), dtype);
    const int64_t hidden = decoder->config().hidden_size;
    SelfCpConfig config;
    config.ratio = json.at("ratio");
    config.separator = json.at("separator").get<TokenId>();
    compressor = make_selfcp(config,
                             {source.take("connector.weight", {hidden, hidden}),
                              source.take("connector.bias", {hidden}),
                              source.take("norm.weight", {hidden}),
                              source.take("norm.bias", {hidden}),
                              source.take("tag_embedding", {hidden})},
                             *decoder);
    const Ids ids = json.at("prefix");
    if (!ids.empty()) prefix = std::make_shared<SharedPrefix>(ids);
  }

  at::Tensor wanted(const std::string& name) const {
    return to_tensor(*expected.find(GetParam() + "." + name)).to(at::kDouble);
  }

  // All memories of the case, in order. "cat": independent segments. Others: one text, divided.
  std::vector<MemoryTensors> compress() const {
    const std::string mode = json.at("mode");
    CompressOptions options;
    std::vector<Segment> segments;
    for (const Ids ids : json.at("segments")) segments.push_back({ids, prefix});
    if (mode == "concat" || mode == "recursive") {
      options.chaining = mode == "concat" ? Chaining::kConcat : Chaining::kRecursive;
      options.segment = std::ssize(segments.front().tokens);
      Segment whole{{}, prefix};
      for (const Segment& part : segments)
        whole.tokens.insert(whole.tokens.end(), part.tokens.begin(), part.tokens.end());
      segments = {whole};
    }
    return compressor->compress(segments, options);
  }

  SplicedPrompt generator_input(std::vector<MemoryTensors> memories) const {
    std::vector<PromptItem> items;
    const auto add_ids = [&](const Ids& ids) {
      if (!ids.empty()) items.push_back(TokenSpan{ids});
    };
    add_ids(json.at("prefix"));
    add_ids(json.at("before"));
    for (MemoryTensors& memory : memories) {
      items.push_back(
          Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(memory), {}})));
    }
    add_ids(json.at("suffix"));
    return splice(items, *decoder);
  }

  at::Tensor read(const SplicedPrompt& prompt) const {
    KvCache cache(decoder->config().kv_shape(), decoder->options());
    return decoder->forward(
        {prompt.embeddings, prompt.positions, {0, prompt.embeddings.size(0)}, {0}}, cache);
  }

  static at::Tensor slots_of(const std::vector<MemoryTensors>& memories) {
    std::vector<at::Tensor> rows;
    for (const MemoryTensors& memory : memories)
      rows.push_back(std::get<SoftTokens>(memory).embeddings);
    return at::cat(rows, 0).to(at::kDouble);
  }

  SafetensorsFile expected;
  nlohmann::json json;
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
  std::shared_ptr<const SharedPrefix> prefix;
};

TEST_P(SelfCpGolden, MemoriesAgreeInFloat32) {
  load(at::kFloat);
  const c10::NoGradGuard no_grad;
  EXPECT_LT(largest_difference(slots_of(compress()), wanted("slots")), 1e-4);
}

TEST_P(SelfCpGolden, MemoriesAgreeInFloat64) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  EXPECT_LT(largest_difference(slots_of(compress()), wanted("slots")), 1e-5);
}

TEST_P(SelfCpGolden, HiddenStatesOfTheFrozenModelAgree) {
  load(at::kFloat);
  const c10::NoGradGuard no_grad;
  const at::Tensor logits = decoder->logits(read(generator_input(compress())));
  EXPECT_LT(largest_difference(logits.to(at::kDouble), wanted("logits")), 1e-4);
}

TEST_P(SelfCpGolden, LossAndGradientsAgree) {
  load(at::kDouble);
  for (const NamedTensor& named : compressor->parameters()) named.tensor.requires_grad_(true);
  const Ids suffix = json.at("suffix");
  const at::Tensor hidden = read(generator_input(compress()));
  const int64_t count = std::ssize(suffix);
  const PredictedBatch batch{hidden.narrow(0, hidden.size(0) - count - 1, count),
                             at::tensor(suffix, at::kLong)};
  const double loss = cross_entropy(*decoder, batch, /*backward=*/true);
  EXPECT_NEAR(loss, wanted("loss").item<double>(), 1e-5 * loss);
  for (const NamedTensor& named : compressor->parameters()) {
    EXPECT_LT(largest_difference(named.tensor.grad(), wanted("gradient." + named.name)), 1e-4)
        << named.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         SelfCpGolden,
                         testing::ValuesIn(case_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace precis
