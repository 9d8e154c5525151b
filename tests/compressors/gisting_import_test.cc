// SPDX-License-Identifier: Apache-2.0
// Gisting's published layout: a tuned model with one more embedding, or its difference from its
// base.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "compressors/gisting/import_gisting.h"
#include "compressors/weight_difference.h"
#include "io/json_file.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tiny_llama.h"

namespace precis {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<TokenId>;

fs::path golden(const std::string& name) { return fs::path(PRECIS_TEST_GOLDEN_DIR) / name; }

const std::string kBpe = "models/llama";  // 320 ids
const std::string kLlama2 = "tokenizers/llama2";
const std::string kSentencePiece = "tokenizers/sentencepiece";

Ids operator+(Ids first, const Ids& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

CachedTokens memory_of(const Compressor& compressor) {
  Segment segment;
  for (int64_t i = 0; i < 37; ++i) segment.tokens.push_back((i * 37) % 90);
  return std::get<CachedTokens>(compressor.compress({&segment, 1}, {})[0]);
}

// The template

class GistingTemplate : public testing::TestWithParam<std::string> {
 protected:
  GistingTemplate() : tokenizer(load_tokenizer(golden(GetParam()))) {
    write_llama(directory / "tuned", random_llama(tokenizer->vocab_size() + 1, 1), {});
    decoder = load_decoder(directory / "tuned", at::kFloat);
  }

  // compressor.json.
  json import(const GistingImportOptions& options = {}) const {
    import_gisting(*decoder, *tokenizer, options)->save(directory / "out");
    return read_json(directory / "out" / "compressor.json");
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory directory;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Decoder> decoder;
};

TEST_P(GistingTemplate, IdsAreThoseOfTheWholeText) {
  const json config = import();
  Ids whole = tokenizer->encode("Instruction: Name the town");
  if (const auto bos = tokenizer->special_tokens().bos) whole.insert(whole.begin(), *bos);
  // SentencePiece prepends a space to every text; for others it is part of the text.
  const bool adds_space = GetParam() != kBpe;
  const auto text = [&](const std::string& words) {
    return tokenizer->encode(adds_space ? words : " " + words);
  };
  EXPECT_EQ(config.at("before_text").get<Ids>() + text("Name the town"), whole);
  EXPECT_EQ(config.at("after").get<Ids>() + text("by the sea") + config.at("end").get<Ids>(),
            tokenizer->encode("Input: by the sea\nOutput:"));
}

TEST_P(GistingTemplate, WithoutInputTheAnswerComesNext) {
  GistingImportOptions options;
  options.input = false;
  const json config = import(options), with_input = import();
  EXPECT_EQ(config.at("after").get<Ids>(), tokenizer->encode("Output:"));
  EXPECT_EQ(config.at("end"), json::array());
  EXPECT_EQ(config.at("before_text"), with_input.at("before_text"));
}

TEST_P(GistingTemplate, TheGistIdFollowsTheTokenizersIds) {
  const json config = import();
  EXPECT_EQ(config.at("gist_id"), tokenizer->vocab_size());
  EXPECT_EQ(config.at("form"), "tuned");
  EXPECT_EQ(config.at("num_gists"), 1);
  EXPECT_EQ(config.at("max_segment"), 512);
}

INSTANTIATE_TEST_SUITE_P(Tokenizers,
                         GistingTemplate,
                         testing::Values(kBpe, kLlama2, kSentencePiece),
                         [](const auto& test) { return fs::path(test.param).filename().string(); });

// Line breaks inside the template are kept, those around the gist are not.
TEST(GistingTemplateText, IsTokenizedAsByTheAuthors) {
  const c10::NoGradGuard no_grad;
  const TemporaryDirectory directory;
  const auto tokenizer = load_tokenizer(golden(kLlama2));
  write_llama(directory / "tuned", random_llama(tokenizer->vocab_size() + 1, 1), {});
  const auto decoder = load_decoder(directory / "tuned", at::kFloat);
  import_gisting(*decoder, *tokenizer)->save(directory / "out");
  const json config = read_json(directory / "out" / "compressor.json");
  const auto text = [&](const char* key) {
    std::string bytes;
    for (const TokenId id : config.at(key).get<Ids>()) bytes += tokenizer->token_bytes(id);
    return bytes;
  };
  EXPECT_EQ(text("after"), " Input:");
  EXPECT_EQ(text("end"), "\nOutput:");
}

class GistingImport : public testing::Test {
 protected:
  GistingImport() {
    write_llama(base, random_llama(320, 1), golden(kBpe));
    write_llama(tuned, random_llama(321, 2), golden(kBpe));
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory directory;
  const fs::path base = directory / "base", tuned = directory / "tuned";
};

TEST_F(GistingImport, TheGistIsATokenOrTheAdditionalEmbedding) {
  const auto decoder = load_decoder(tuned, at::kFloat);
  const auto gist = [&] {
    const auto tokenizer = load_tokenizer(tuned);
    import_gisting(*decoder, *tokenizer)->save(directory / "compressor");
    return read_json(directory / "compressor" / "compressor.json").at("gist_id").get<TokenId>();
  };
  EXPECT_EQ(gist(), 320);
  damage_json(tuned / "tokenizer.json", [](json& tokenizer) {
    json token = tokenizer["added_tokens"][0];
    token["id"] = 320;
    token["content"] = "<GIST>";
    tokenizer["added_tokens"].push_back(token);
  });
  ASSERT_EQ(load_tokenizer(tuned)->vocab_size(), 321);
  EXPECT_EQ(gist(), 320);
}

TEST_F(GistingImport, WithoutAnEmbeddingForTheGistItIsRefused) {
  const auto tokenizer = load_tokenizer(base);
  const auto untuned = load_decoder(base, at::kFloat);
  expect_error(ErrorKind::kBadWeights, "320 rows, expected one more than the 320 ids", [&] {
    import_gisting(*untuned, *tokenizer);
  });
  GistingImportOptions options;
  options.gist_id = 319;
  expect_error(ErrorKind::kBadWeights, "319 means something else", [&] {
    import_gisting(*untuned, *tokenizer, options);
  });
}

TEST_F(GistingImport, AppliesItsOptions) {
  const auto tokenizer = load_tokenizer(tuned);
  const auto decoder = load_decoder(tuned, at::kFloat);
  GistingImportOptions options;
  options.num_gists = 3;
  options.max_segment = 77;
  const auto compressor = import_gisting(*decoder, *tokenizer, options);
  EXPECT_EQ(compressor->info().slots, 3);
  EXPECT_EQ(compressor->info().max_segment, 77);
  EXPECT_EQ(compressor->info().num_parameters, 0);
  EXPECT_EQ(memory_of(*compressor).keys.size(2), 3);
  options.num_gists = 0;
  expect_error(ErrorKind::kInvalidArgument, "num_gists is 0", [&] {
    import_gisting(*decoder, *tokenizer, options);
  });
}

TEST_F(GistingImport, ARecoveredModelHasTheMemoriesOfTheTunedOne) {
  const TensorMap difference = difference_of(random_llama(321, 2), random_llama(320, 1));
  write_tensors(directory / "difference.safetensors", difference);
  recover_model(base, directory / "difference.safetensors", directory / "recovered");
  const auto tokenizer = load_tokenizer(directory / "recovered");
  const auto memory = [&](const fs::path& model) {
    const auto decoder = load_decoder(model, at::kFloat);
    return memory_of(*import_gisting(*decoder, *tokenizer));
  };
  const CachedTokens recovered = memory(directory / "recovered"), wanted = memory(tuned);
  EXPECT_TRUE(at::equal(recovered.keys, wanted.keys));
  EXPECT_TRUE(at::equal(recovered.values, wanted.values));
  EXPECT_EQ(recovered.next_position, wanted.next_position);
}

}  // namespace
}  // namespace precis
