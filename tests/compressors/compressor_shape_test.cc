// SPDX-License-Identifier: Apache-2.0
// Costs of saved compressors, from their files.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <string_view>

#include "compressors/attention_matching/attention_matching.h"
#include "compressors/kvzip/kvzip.h"
#include "compressors/pass_flops.h"
#include "compressors/passes.h"
#include "mean_pooling.h"
#include "memory/memory_contents.h"
#include "precis/extend/cost.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/registry.h"
#include "precis/memory.h"
#include "support/built_in.h"
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

std::unique_ptr<Compressor> make_ic_former_of_shared_keys(const Decoder& decoder) {
  IcFormerConfig config = small_ic_former();
  config.num_kv_heads = 2;
  config.spread_positions = true;
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

std::unique_ptr<Compressor> make_attention_matching_without_bos(const Decoder& decoder) {
  return make_built_in("attention_matching", {}, decoder);
}

std::unique_ptr<Compressor> make_attention_matching_behind_bos(const Decoder& decoder) {
  return make_built_in("attention_matching", {{1}, {2, 3}}, decoder);
}

std::unique_ptr<Compressor> make_kvzip_behind_bos(const Decoder& decoder) {
  return make_built_in("kvzip", {{1}, {2, 3}}, decoder);
}

const RealCase kReal[] = {{"selfcp_without_norm", make_selfcp_without_norm},
                          {"selfcp_with_odd_ratio", make_selfcp_with_odd_ratio},
                          {"icae", make_small_icae},
                          {"icae_with_connector", make_icae_with_connector},
                          {"ic_former", make_small_ic_former},
                          {"ic_former_without_connector", make_ic_former_without_connector},
                          {"ic_former_of_shared_keys", make_ic_former_of_shared_keys},
                          {"gisting_behind_a_text", make_gisting_behind_a_text},
                          {"gisting_without_lora", make_gisting_without_lora},
                          {"gisting_by_ratio", make_gisting_by_ratio},
                          {"gisting_spread", make_small_spread_gisting},
                          {"gisting_spread_behind_a_text", make_spread_gisting_behind_a_text},
                          {"gisting_tuned", make_tuned_gisting},
                          {"attention_matching", make_attention_matching_without_bos},
                          {"attention_matching_behind_bos", make_attention_matching_behind_bos},
                          {"kvzip_behind_bos", make_kvzip_behind_bos}};

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

// Compressors without weights: counts equal the FLOPs that they compute.

// Counts the FLOPs of ATen's batched matrix products during its lifetime, in all threads.
class Products {
 public:
  Products() : handle_(at::addGlobalCallback(at::RecordFunctionCallback(add).needsInputs(true))) {
    flops_ = 0;
  }
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;
  ~Products() { at::removeCallback(handle_); }

  double flops() const { return static_cast<double>(flops_); }

 private:
  static std::unique_ptr<at::ObserverContext> add(const at::RecordFunction& call) {
    const std::string_view name = call.name();
    const bool adds = name == "aten::baddbmm" || name == "aten::baddbmm_";  // to its first input
    if (!adds && name != "aten::bmm") return nullptr;
    const auto factors = call.inputs().slice(adds ? 1 : 0);
    const at::Tensor left = factors[0].toTensor(), right = factors[1].toTensor();
    flops_ += 2 * left.numel() * right.size(2);
    return nullptr;
  }

  static inline std::atomic<int64_t> flops_ = 0;
  at::CallbackHandle handle_;
};

template <typename Run>
double products_of(const Run& run) {
  const Products products;
  run();
  return products.flops();
}

constexpr const char* kSelectionModels[] = {"llama", "mistral_window", "qwen2_window"};

struct SelectedText {
  SelectedText(const std::string& model, int64_t num_tokens, int64_t count)
      : decoder(load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / model,
                             at::kFloat)),
        ids(num_tokens, 7),
        request{ids, 1, count, [](double) { return true; }} {}

  // FLOPs of compressing without the first pass over the text.
  double counted(CompressorShape shape) const {
    const int64_t n = std::ssize(ids);
    shape.sizes["ratio"] = static_cast<double>(n) / static_cast<double>(request.count);
    shape.sizes["max_segment"] = n;
    return compression_cost(decoder->config(), shape, n, 4).compress_flops -
           context_cost(decoder->config(), n, 4).prefill_flops;
  }

  void read(std::span<const TokenId> tokens, KvCache& cache) const {
    const at::Tensor rows = embed(*decoder, tokens);
    fill_cache(*decoder, {&rows, 1}, cache);
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  std::vector<TokenId> ids;
  SelectionRequest request;
};

// Products of reading a text and then the prompt and the text again.
double passes_of(const SelectedText& text, const std::vector<TokenId>& repeat) {
  std::vector<TokenId> again = repeat;
  again.insert(again.end(), text.ids.begin(), text.ids.end());
  return products_of([&] {
    KvCache cache(text.decoder->config().kv_shape(), text.decoder->options());
    text.read(text.ids, cache);
    text.read(again, cache);
  });
}

// Counts are close to what is computed, not equal: heads that keep different numbers of tokens need
// other products than equal ones, and scores are computed up to each token, counted over all keys.
void expect_close_count(double counted, double computed) {
  EXPECT_GT(counted, 0.8 * computed);
  EXPECT_LT(counted, 1.5 * computed);
}

TEST(SelectionCost, OfAttentionMatchingIsThatOfItsProducts) {
  for (const char* model : kSelectionModels) {
    for (const auto& [length, count] :
         {std::pair{40, 10}, std::pair{40, 20}, std::pair{200, 10}, std::pair{200, 60}}) {
      SCOPED_TRACE(std::string(model) + " " + std::to_string(length) + " to " +
                   std::to_string(count));
      const SelectedText text(model, length, count);
      const std::vector<TokenId> repeat{2, 3};
      const double passes = passes_of(text, repeat);
      const double all = products_of(
          [&] { make_attention_matching(repeat, *text.decoder)->select(text.request); });
      const CompressorShape shape{"attention_matching", {{"repeat_rows", 2}}};
      const double second_pass = pass_flops(text.decoder->config(), length + 2, 2 * length + 2);
      expect_close_count(text.counted(shape) - second_pass, all - passes);
    }
  }
}

TEST(SelectionCost, OfKvzipIsThatOfItsPassesAndScores) {
  for (const char* model : kSelectionModels) {
    SCOPED_TRACE(model);
    const SelectedText text(model, 40, 10);
    const std::vector<TokenId> repeat{2, 3};
    const double all =
        products_of([&] { make_kvzip(repeat, *text.decoder)->select(text.request); });
    const CompressorShape shape{"kvzip", {{"repeat_rows", 2}}};
    const double second_pass = pass_flops(text.decoder->config(), 42, 82);
    expect_close_count(text.counted(shape) - second_pass, all - passes_of(text, repeat));
  }
}

TEST(SelectionShape, LongestChunkIsThatOfTheCompressor) {
  const TemporaryDirectory directory;
  const std::filesystem::path model = directory / "model";
  std::filesystem::copy(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "qwen2", model);
  for (const int64_t window : {512, 4100, 9000}) {
    damage_json(model / "config.json",
                [&](nlohmann::json& config) { config["max_position_embeddings"] = window; });
    const auto decoder = load_decoder(model, at::kFloat);
    for (const auto make : {make_attention_matching_without_bos,
                            make_attention_matching_behind_bos,
                            make_kvzip_behind_bos}) {
      const TemporaryDirectory saved;
      const auto compressor = make(*decoder);
      compressor->save(saved.path());
      const CompressorShape shape = read_compressor_shape(saved.path());
      const CompressorSizing& sizing = *find_compressor_method(shape.method)->sizing;
      EXPECT_EQ(sizing.plan(shape.sizes, decoder->config(), nullptr).max_segment,
                compressor->info().max_segment)
          << compressor->info().method << " " << window;
    }
  }
}

TEST(SelectionShape, OfABuiltInIsThatOfItsFiles) {
  const auto decoder = small_decoder(at::kFloat);
  for (const std::string& name : built_in_compressors()) {
    const TemporaryDirectory directory;
    const auto compressor = load_compressor(name, *decoder);
    compressor->save(directory.path());
    const auto plan = find_compressor_method(name)->sizing->plan({}, decoder->config(), nullptr);
    const CompressorShape saved = read_compressor_shape(directory.path());
    EXPECT_EQ(saved.method, name);
    for (const auto& [size, value] : saved.sizes) EXPECT_EQ(plan.sizes.at(size), value) << size;
    EXPECT_EQ(std::get<double>(plan.description.at("ratio")), compressor->info().ratio);
    EXPECT_EQ(plan.max_segment, compressor->info().max_segment);
  }
}

TEST(SelectionShape, CountsTokensReadBesidesTheText) {
  const auto decoder = small_decoder(at::kFloat);
  const TemporaryDirectory directory;
  make_kvzip_behind_bos(*decoder)->save(directory.path());
  const CompressorShape shape = read_compressor_shape(directory.path());
  EXPECT_EQ(shape.method, "kvzip");
  EXPECT_EQ(shape.sizes.at("rows_before"), SettingValue(int64_t{1}));
  EXPECT_EQ(shape.sizes.at("repeat_rows"), SettingValue(int64_t{2}));
}

TEST(Cost, OfAContextIsTheSizeOfItsCache) {
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

TEST(CompressorShape, OfAMethodWithoutSizesIsUnsupported) {
  const auto decoder = small_decoder(at::kFloat);
  const TemporaryDirectory directory;
  MeanPooling(*decoder, 4).save(directory.path());
  expect_error(
      ErrorKind::kUnsupported, "mean_pooling", [&] { read_compressor_shape(directory.path()); });
}

}  // namespace
}  // namespace precis
