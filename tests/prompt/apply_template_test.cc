// SPDX-License-Identifier: Apache-2.0
#include "prompt/apply_template.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "precis/extend/load_decoder.h"
#include "prompt/tokenize.h"
#include "prompt_fixture.h"

namespace precis {
namespace {

class ApplyTemplate : public testing::Test {
 protected:
  std::string shown(const MemoryTemplate& around,
                    std::vector<Prompt::Piece> memories,
                    std::vector<Prompt::Piece> text) const {
    Prompt prompt;
    apply_template(around, memories, text, *decoder, prompt);
    return show(tokenize(prompt, {}));
  }
  at::Tensor values(int64_t size) const { return at::ones({size, decoder->config().hidden_size}); }

  std::unique_ptr<Decoder> decoder =
      load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", at::kFloat);
};

TEST_F(ApplyTemplate, PutsItemsBeforeAfterAndAtTheEnd) {
  MemoryTemplate around;
  around.before = {std::vector<TokenId>{'a'}, values(1)};
  around.after = {values(2)};
  around.end = {std::vector<TokenId>{'z'}};
  const Memory memory = std::get<Memory>(memory_item(SoftTokens{values(3)}));
  EXPECT_EQ(shown(around, {memory, memory}, {Prompt::Ids{{'q'}}}), "a|@1|#3|#3|@2|q|z");
  EXPECT_EQ(shown(around, {Prompt::Ids{{'t'}}}, {}), "a|@1|t|@2|z");
  EXPECT_EQ(shown({}, {memory}, {Prompt::Ids{{'q'}}}), "#3|q");
}

// Training needs them.
TEST_F(ApplyTemplate, TrainedEmbeddingsKeepTheirGradients) {
  const at::Tensor trained = values(2).requires_grad_();
  MemoryTemplate around;
  around.after = {trained};
  Prompt prompt;
  apply_template(around, {}, {}, *decoder, prompt);
  const auto items = tokenize(prompt, {});
  const EmbeddingsContents& contents = std::get<Embeddings>(items.at(0)).contents();
  EXPECT_TRUE(contents.values.is_same(trained));
  EXPECT_EQ(contents.model_fingerprint, decoder->fingerprint());
}

}  // namespace
}  // namespace precis
