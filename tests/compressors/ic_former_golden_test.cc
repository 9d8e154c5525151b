// SPDX-License-Identifier: Apache-2.0
// IC-Former against a restatement of its specification in PyTorch
// (golden/make_ic_former_golden.py): every layer, memories, the loss and its gradients.
#include <gtest/gtest.h>

#include "compressors/digest_reference.h"
#include "compressors/divide.h"
#include "compressors/ic_former_fixture.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

constexpr TokenId kEndOfSequence = 0;
using Ids = std::vector<TokenId>;

class IcFormerGolden : public testing::TestWithParam<std::string> {
 protected:
  IcFormerGolden()
      : expected(SafetensorsFile::open(kIcFormerGolden / "expected.safetensors")),
        json(read_json(kIcFormerGolden / "cases.json").at("cases").at(GetParam())),
        tokens(json.at("tokens")) {}

  void load(c10::ScalarType dtype, bool token_table = false) {
    decoder = ic_former_decoder(dtype);
    IcFormerConfig config = ic_former_config();
    config.connector = json.at("connector");
    config.token_table = token_table;
    compressor = make_ic_former(config, ic_former_weights(dtype), *decoder);
  }

  at::Tensor golden(const std::string& name) const {
    return to_tensor(*expected.find(GetParam() + "." + name));
  }

  // Exactly the parameters whose gradients the golden file has under `prefix` have a gradient, and
  // they agree.
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
      const at::Tensor expected_gradient = golden(prefix + name).reshape_as(gradient);
      EXPECT_LT(relative_difference(gradient, expected_gradient), tolerance) << name;
    }
  }

  // The trainer's loss of the targets after the memory in its template.
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

TEST_P(IcFormerGolden, TheReferenceAgreesInEveryLayer) {
  load(at::kDouble);
  const IcFormerConfig config = ic_former_config();
  const IcFormerWeights weights = ic_former_weights(at::kDouble);
  const ic_former::DigestShape shape{config.num_heads, config.rms_norm_epsilon, config.rope_base};
  std::vector<std::vector<at::Tensor>> states(3);
  for (const TokenRange& chunk : divide(std::ssize(tokens), config.max_segment)) {
    const Ids ids{tokens.begin() + chunk.first, tokens.begin() + chunk.first + chunk.size};
    const at::Tensor seen =
        at::cat({decoder->embed(at::tensor(ids, at::kLong)), weights.digests}, 0).unsqueeze(0);
    at::Tensor state = weights.digests.unsqueeze(0);
    for (size_t i = 0; i < 3; ++i) {
      state = ic_former::reference::cross_attention(weights.net.layers[i], state, seen, shape);
      states[i].push_back(state[0]);
    }
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LT(relative_difference(at::cat(states[i], 0), golden("layer." + std::to_string(i))),
              1e-9)
        << i;
  }
}

TEST_P(IcFormerGolden, MemoriesAgree) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kDouble, 1e-9}}) {
    load(dtype);
    const c10::NoGradGuard no_grad;
    EXPECT_LT(relative_difference(memory_of(*compressor, tokens), golden("slots")), tolerance);
  }
}

TEST_P(IcFormerGolden, MemoriesWithGradientsAgree) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kDouble, 1e-9}}) {
    load(dtype);
    require_gradients(*compressor);
    const at::Tensor slots = memory_of(*compressor, tokens);
    EXPECT_TRUE(slots.requires_grad());
    EXPECT_LT(relative_difference(slots.detach(), golden("slots")), tolerance);
  }
}

TEST_P(IcFormerGolden, MemoriesFromTheTokenTableAgree) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-4}, {at::kDouble, 1e-9}}) {
    load(dtype, /*token_table=*/true);
    const c10::NoGradGuard no_grad;
    EXPECT_LT(relative_difference(memory_of(*compressor, tokens), golden("slots")), tolerance);
  }
}

// Within 1e-5: the golden script's decoder computes norms and rotary angles in float32.
TEST_P(IcFormerGolden, TheLossOverMemoriesAgrees) {
  load(at::kDouble);
  const c10::NoGradGuard no_grad;
  const double expected_loss = golden("loss").item<double>();
  EXPECT_NEAR(loss(/*backward=*/false), expected_loss, 1e-5 * expected_loss);
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  const nlohmann::json cases = read_json(kIcFormerGolden / "cases.json");
  for (const auto& [name, ignored] : cases.at("cases").items()) names.push_back(name);
  return names;
}

// The cases for which the golden file has this tensor.
std::vector<std::string> cases_with(const std::string& tensor) {
  const SafetensorsFile expected = SafetensorsFile::open(kIcFormerGolden / "expected.safetensors");
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
  require_gradients(*compressor);
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
  require_gradients(*compressor);
  (memory_of(*compressor, tokens) * golden("probe")).sum().backward();
  expect_gradients("probe_gradient.", 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         IcFormerProbeGradients,
                         testing::ValuesIn(cases_with("probe")),
                         kName);

}  // namespace
}  // namespace precis
