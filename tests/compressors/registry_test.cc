// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "mean_pooling.h"
#include "precis/extend/cost.h"
#include "precis/extend/load_decoder.h"
#include "precis/extend/shapes.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

std::unique_ptr<Decoder> small_decoder() {
  return load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                      at::kFloat);
}

TEST(Registry, LoadsRegisteredMethods) {
  register_compressor("pooling_of_the_test", load_mean_pooling);
  const TemporaryDirectory directory;
  overwrite(directory / "compressor.json",
            R"({"format": 1, "method": "pooling_of_the_test", "window": 4})");
  const auto decoder = small_decoder();
  EXPECT_EQ(load_compressor(directory / "", *decoder)->info().method, "mean_pooling");
}

// A method with a description, as the library's own have.
CompressorMethod counted_pooling(const std::string& name) {
  CompressorMethod method;
  method.name = name;
  method.load = load_mean_pooling;
  method.sizing = {.flags = {{"window", SettingFlag::Type::kInteger, "tokens per memory token"}},
                   .read =
                       [](const auto&) {
                         return CompressorSettings{{"window", 4}};
                       },
                   .plan =
                       [](const CompressorSettings& settings, const auto&, const Tokenizer*) {
                         return PlannedCompressor{settings, settings, 512};
                       },
                   .count =
                       [](const CompressorSettings& sizes, const auto&, int64_t num_tokens) {
                         const int64_t window = std::get<int64_t>(sizes.at("window"));
                         MethodCost cost;
                         cost.memory_tokens = static_cast<double>((num_tokens - 1) / window + 1);
                         return cost;
                       }};
  method.creation = {.flags = {{"window", SettingFlag::Type::kInteger, "tokens per memory token"}},
                     .create = [](const CompressorSettings& settings,
                                  const auto& decoder,
                                  const Tokenizer*,
                                  uint64_t) -> std::unique_ptr<Compressor> {
                       return std::make_unique<MeanPooling>(
                           decoder, std::get<int64_t>(settings.at("window")));
                     }};
  return method;
}

TEST(Registry, CountsTheCostOfRegisteredMethods) {
  register_compressor(counted_pooling("counted_pooling_of_the_test"));
  const auto decoder = small_decoder();
  const CompressorMethod* method = find_compressor_method("counted_pooling_of_the_test");
  ASSERT_NE(method, nullptr);
  const TemporaryDirectory directory;
  overwrite(directory / "compressor.json",
            R"({"format": 1, "method": "counted_pooling_of_the_test", "window": 4})");
  const CompressorShape shape = read_compressor_shape(directory.path());
  EXPECT_EQ(shape.method, method->name);
  const auto made = method->creation->create(shape.sizes, *decoder, nullptr, 1);
  for (const int64_t length : {1, 4, 5, 30})
    EXPECT_EQ(compression_cost(decoder->config(), shape, length, 4).memory_tokens,
              made->memory_size(length, {}));
}

TEST(Registry, ListsTheMethodsOfTheLibraryFirst) {
  const std::vector<std::string> names{
      "selfcp", "icae", "gisting", "ic_former", "attention_matching", "kvzip"};
  const auto methods = compressor_methods();
  ASSERT_GE(methods.size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(methods[i]->name, names[i]);
    EXPECT_EQ(find_compressor_method(names[i]), methods[i]);
    EXPECT_TRUE(methods[i]->sizing) << names[i];
    EXPECT_NE(methods[i]->creation.has_value(), static_cast<bool>(methods[i]->make_built_in));
  }
  EXPECT_EQ(find_compressor_method("magic"), nullptr);
  EXPECT_EQ(built_in_compressors(), (std::vector<std::string>{kDefaultCompressor, "kvzip"}));
}

TEST(Registry, NewCompressorsTakeTheSettingsThatTheirFlagsName) {
  const auto decoder = small_decoder();
  const auto create = [&](const std::string& method, const CompressorSettings& settings) {
    return find_compressor_method(method)->creation->create(settings, *decoder, nullptr, 1);
  };
  EXPECT_EQ(create("selfcp", {})->info().ratio, 4);
  EXPECT_EQ(create("selfcp", {{"ratio", 8}})->info().ratio, 8);
  EXPECT_EQ(create("icae", {{"slots", 4}, {"rank", 2}})->info().slots, 4);
  EXPECT_EQ(create("gisting", {})->info().ratio, 4);
  EXPECT_EQ(create("gisting", {{"slots", 3}})->info().slots, 3);
  EXPECT_EQ(create("ic_former", {{"slots", 4}, {"layers", 1}})->info().slots, 4);
  expect_error(ErrorKind::kInvalidArgument, "no setting \"slots\"", [&] {
    create("selfcp", {{"slots", 4}});
  });
  expect_error(ErrorKind::kInvalidArgument, "slot_positions is \"under\"", [&] {
    create("icae", {{"slot_positions", "under"}});
  });
}

TEST(Registry, AFactoryThatMakesNothingIsNamed) {
  register_compressor("nothing_of_the_test",
                      [](const auto&, const auto&) { return std::unique_ptr<Compressor>(); });
  const TemporaryDirectory directory;
  overwrite(directory / "compressor.json", R"({"format": 1, "method": "nothing_of_the_test"})");
  const auto decoder = small_decoder();
  expect_error(ErrorKind::kInvalidArgument, "\"nothing_of_the_test\" made no compressor", [&] {
    load_compressor(directory.path(), *decoder);
  });
}

TEST(Registry, RefusesNamesThatAreTaken) {
  for (const char* name :
       {"selfcp", "icae", "gisting", "ic_former", "attention_matching", "kvzip"}) {
    expect_error(
        ErrorKind::kInvalidArgument, name, [&] { register_compressor(name, load_mean_pooling); });
  }
  expect_error(
      ErrorKind::kInvalidArgument, "name", [] { register_compressor("", load_mean_pooling); });
}

// The example of the documentation.

TEST(MeanPooling, NamesImpossibleWindows) {
  const TemporaryDirectory directory;
  const std::string file = directory / "compressor.json";
  const auto decoder = small_decoder();
  for (const std::string window :
       {"0", "-1", "513", "9223372036854775807", "18446744073709551615", "4.5", "\"x\"", "null"}) {
    overwrite(file, R"({"format": 1, "method": "mean_pooling", "window": )" + window + "}");
    expect_error(ErrorKind::kBadWeights, file + ": window is " + window, [&] {
      load_mean_pooling(directory.path(), *decoder);
    });
  }
  overwrite(file, R"({"format": 1, "method": "mean_pooling", "window": 512})");
  EXPECT_EQ(load_mean_pooling(directory.path(), *decoder)->memory_size(512, {}), 1);
}

TEST(MeanPooling, CannotBeSaved) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "compressor.json");
  const auto decoder = small_decoder();
  expect_error(ErrorKind::kInvalidArgument, "compressor.json cannot be written", [&] {
    MeanPooling(*decoder, 4).save(directory.path());
  });
}

}  // namespace
}  // namespace precis
