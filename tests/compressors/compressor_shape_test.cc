// SPDX-License-Identifier: Apache-2.0
// What the accounting says of compressors that exist, as their files tell it.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/memory_contents.h"
#include "mean_pooling.h"
#include "models/load_decoder.h"
#include "precis/cost.h"
#include "precis/memory.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

struct RealCase {
  const char* name;
  std::unique_ptr<Compressor> (*make)(const Decoder&);
};

std::unique_ptr<Compressor> make_selfcp_without_norm(const Decoder& decoder) {
  SelfCpConfig config = small_selfcp();
  config.layer_norm = false;
  config.separator = std::nullopt;
  return create_selfcp(config, decoder);
}

std::unique_ptr<Compressor> make_selfcp_with_odd_ratio(const Decoder& decoder) {
  SelfCpConfig config = small_selfcp();
  config.ratio = 2.5;
  return create_selfcp(config, decoder);
}

std::unique_ptr<Compressor> make_icae_with_connector(const Decoder& decoder) {
  IcaeConfig config = small_icae();
  config.rank = 3;
  config.connector = true;
  return create_icae(config, decoder);
}

std::unique_ptr<Compressor> make_ic_former_without_connector(const Decoder& decoder) {
  IcFormerConfig config = small_ic_former();
  config.num_layers = 2;
  config.connector = false;
  return create_ic_former(config, decoder);
}

std::unique_ptr<Compressor> make_gisting_behind_a_text(const Decoder& decoder) {
  GistingConfig config = small_gisting();
  config.before_text = {1, 2};
  return create_gisting(config, decoder);
}

std::unique_ptr<Compressor> make_gisting_without_lora(const Decoder& decoder) {
  GistingConfig config = small_gisting();
  config.rank = 0;
  return create_gisting(config, decoder);
}

std::unique_ptr<Compressor> make_gisting_by_ratio(const Decoder& decoder) {
  GistingConfig config = small_gisting();
  config.num_gists = 1;
  config.ratio = 2.5;
  return create_gisting(config, decoder);
}

std::unique_ptr<Compressor> make_spread_gisting_behind_a_text(const Decoder& decoder) {
  GistingConfig config = small_gisting();
  config.num_gists = 1;
  config.ratio = 2.5;
  config.spread_positions = true;
  config.before_text = {3, 4};
  return create_gisting(config, decoder);
}

std::unique_ptr<Compressor> make_tuned_gisting(const Decoder& decoder) {
  GistingConfig config = small_gisting();
  config.form = GistingConfig::Form::kTuned;
  config.gist_id = 9;
  return create_gisting(config, decoder);
}

const RealCase kReal[] = {{"selfcp_without_norm", make_selfcp_without_norm},
                          {"selfcp_with_odd_ratio", make_selfcp_with_odd_ratio},
                          {"icae", make_small_icae},
                          {"icae_with_connector", make_icae_with_connector},
                          {"ic_former", make_small_ic_former},
                          {"ic_former_without_connector", make_ic_former_without_connector},
                          {"gisting_behind_a_text", make_gisting_behind_a_text},
                          {"gisting_without_lora", make_gisting_without_lora},
                          {"gisting_by_ratio", make_gisting_by_ratio},
                          {"gisting_spread", make_small_spread_gisting},
                          {"gisting_spread_behind_a_text", make_spread_gisting_behind_a_text},
                          {"gisting_tuned", make_tuned_gisting}};

std::unique_ptr<Decoder> small_decoder(at::ScalarType dtype) {
  return load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "qwen2", dtype);
}

class RealCost : public testing::TestWithParam<RealCase> {
 protected:
  CompressorShape saved_shape(const Compressor& compressor) const {
    compressor.save(directory.path());
    return read_compressor_shape(directory.path());
  }

  c10::NoGradGuard no_grad;
  TemporaryDirectory directory;
};

TEST_P(RealCost, ParametersAreThoseOfTheCompressor) {
  const auto decoder = small_decoder(at::kFloat);
  const auto compressor = GetParam().make(*decoder);
  EXPECT_EQ(compression_cost(decoder->config(), saved_shape(*compressor), 20, 4).parameters,
            compressor->info().num_parameters);
}

TEST_P(RealCost, TokensAndBytesAreThoseOfTheMemory) {
  for (const auto& [dtype, bytes] : {std::pair{at::kFloat, 4}, std::pair{at::kBFloat16, 2}}) {
    const auto decoder = small_decoder(dtype);
    const auto compressor = GetParam().make(*decoder);
    const CompressorShape shape = saved_shape(*compressor);
    for (const int64_t length : {1, 20, 21, 57, 90}) {
      const Segment segment{std::vector<TokenId>(length, 7), nullptr};
      const Memory memory(std::make_shared<MemoryContents>(
          MemoryContents{compressor->compress({&segment, 1}, {})[0], {}}));
      const auto cost = compression_cost(decoder->config(), shape, length, bytes);
      EXPECT_EQ(cost.memory_tokens, memory.num_tokens()) << length;
      EXPECT_EQ(cost.memory_bytes, memory.bytes()) << length;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Compressors, RealCost, testing::ValuesIn(kReal), [](const auto& test) {
  return std::string(test.param.name);
});

TEST(Cost, OfAContextIsWhatTheCacheHolds) {
  const c10::NoGradGuard no_grad;
  const auto decoder = small_decoder(at::kFloat);
  KvCache cache(decoder->config().kv_shape(), decoder->options());
  const at::Tensor ids = at::arange(5, 16);
  decoder->forward({decoder->embed(ids), at::arange(11), {0, 11}, {0}}, cache);
  EXPECT_EQ(context_cost(decoder->config(), 11, 4).kv_bytes, cache.bytes());
}

TEST(CompressorShape, DamagedFilesAreNamed) {
  const auto decoder = small_decoder(at::kFloat);
  const TemporaryDirectory directory;
  make_small_icae(*decoder)->save(directory.path());
  const std::string file = directory / "compressor.json";
  const auto refuse_with = [&](const char* key, const nlohmann::json& value) {
    damage_json(file, [&](nlohmann::json& config) { config[key] = value; });
    expect_error(ErrorKind::kBadWeights, file + ": " + key, [&] {
      read_compressor_shape(directory.path());
    });
  };
  refuse_with("slots", -3);
  refuse_with("slots", "four");
  refuse_with("slots", nullptr);
  expect_error(ErrorKind::kNotFound, "nowhere", [] { read_compressor_shape("nowhere"); });
}

TEST(CompressorShape, OfAMethodFromOutsideNothingIsKnown) {
  const auto decoder = small_decoder(at::kFloat);
  const TemporaryDirectory directory;
  MeanPooling(*decoder, 4).save(directory.path());
  expect_error(
      ErrorKind::kUnsupported, "mean_pooling", [&] { read_compressor_shape(directory.path()); });
}

}  // namespace
}  // namespace precis
