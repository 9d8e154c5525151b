// SPDX-License-Identifier: Apache-2.0
// The default model, quantised as it is published, compared with transformers
// (golden/make_smollm2_golden.py). third_party/install.sh installs the model.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "chat/chat_template.h"
#include "io/json_file.h"
#include "precis/engine.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "precis/extend/tokenizer.h"

namespace precis {
namespace {

const std::filesystem::path kModel = PRECIS_TEST_MODEL_DIR "/smollm2-135m-instruct.gguf";

class SmolLm2 : public testing::Test {
 protected:
  static Engine load(Dtype dtype, WeightFormat weights = WeightFormat::kDtype) {
    EngineOptions options;
    options.weights = weights;
    options.model = kModel;
    options.dtype = dtype;
    return Engine::load(options);
  }

  const nlohmann::json golden = read_json(PRECIS_TEST_GOLDEN_DIR "/smollm2.json");
  const std::vector<TokenId> ids = golden.at("ids");
  const std::vector<double> nll = golden.at("nll");
};

TEST_F(SmolLm2, IdsAreThoseOfTransformers) {
  const auto tokenizer = load_tokenizer(kModel);
  EXPECT_EQ(tokenizer->encode(golden.at("text").get<std::string>()), ids);
  EXPECT_EQ(tokenizer->decode(ids), golden.at("text"));
}

TEST_F(SmolLm2, ScoresAreThoseOfTransformers) {
  const Score score = load(Dtype::kFloat32).score_ids(Prompt(), ids);
  ASSERT_EQ(score.nll.size(), nll.size());
  for (size_t i = 0; i < nll.size(); ++i) EXPECT_NEAR(score.nll[i], nll[i], 1e-3) << i;
}

// Rounding changes single scores in both directions, but not their mean.
TEST_F(SmolLm2, ScoresInBFloat16AreCloseOnAverage) {
  const Score score = load(Dtype::kBFloat16).score_ids(Prompt(), ids);
  ASSERT_EQ(score.nll.size(), nll.size());
  Score expected;
  expected.nll.assign(nll.begin(), nll.end());
  EXPECT_NEAR(score.mean(), expected.mean(), 0.03);
}

// The weights of the file are 4-bit already, so that even int4 loses little.
TEST_F(SmolLm2, QuantizedItScoresTheSame) {
  Score expected;
  expected.nll.assign(nll.begin(), nll.end());
  const int64_t whole = load(Dtype::kFloat32).decoder().weight_bytes();
  const double narrow = load(Dtype::kBFloat16, WeightFormat::kInt4).score_ids(Prompt(), ids).mean();
  EXPECT_NEAR(narrow, expected.mean(), 0.02 * expected.mean());
  for (const auto& [format, share] :
       {std::pair{WeightFormat::kInt8, 0.26}, {WeightFormat::kInt4, 0.18}}) {
    const Engine engine = load(Dtype::kFloat32, format);
    EXPECT_NEAR(engine.score_ids(Prompt(), ids).mean(), expected.mean(), 0.01 * expected.mean());
    EXPECT_LT(static_cast<double>(engine.decoder().weight_bytes()),
              share * static_cast<double>(whole));
  }
}

TEST_F(SmolLm2, ItsTemplateRendersAsInTransformers) {
  std::vector<MarkedMessage> messages;
  for (const auto& message : golden.at("chat"))
    messages.push_back({message.at("role"), {{message.at("content"), 0}}, {}});
  std::string text;
  for (const MarkedText& run :
       ChatTemplate(load_chat_template(kModel).value()).render(messages, {}))
    text += run.text;
  EXPECT_EQ(text, golden.at("rendered"));
}

}  // namespace
}  // namespace precis
