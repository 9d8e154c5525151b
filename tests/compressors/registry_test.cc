// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "mean_pooling.h"
#include "models/load_decoder.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

std::unique_ptr<Decoder> small_decoder() {
  return load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                      at::kFloat);
}

TEST(Registry, OpensWhatWasRegisteredFromOutside) {
  register_compressor("pooling_of_the_test", load_mean_pooling);
  const TemporaryDirectory directory;
  overwrite(directory / "compressor.json",
            R"({"format": 1, "method": "pooling_of_the_test", "window": 4})");
  const auto decoder = small_decoder();
  EXPECT_EQ(load_compressor(directory / "", *decoder)->info().method, "mean_pooling");
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

// The example, which people copy.

TEST(MeanPooling, NamesWindowsThatCannotBe) {
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

TEST(MeanPooling, TellsThatItCannotBeSaved) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "compressor.json");
  const auto decoder = small_decoder();
  expect_error(ErrorKind::kInvalidArgument, "compressor.json cannot be written", [&] {
    MeanPooling(*decoder, 4).save(directory.path());
  });
}

}  // namespace
}  // namespace precis
