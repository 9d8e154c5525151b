// SPDX-License-Identifier: Apache-2.0
#include "precis/registry.h"

#include <gtest/gtest.h>

#include <fstream>

#include "mean_pooling.h"
#include "models/load_decoder.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

TEST(Registry, OpensWhatWasRegisteredFromOutside) {
  register_compressor("pooling_of_the_test", load_mean_pooling);
  const TemporaryDirectory directory;
  std::ofstream(directory / "compressor.json")
      << R"({"format": 1, "method": "pooling_of_the_test", "window": 4})";
  const auto decoder =
      load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama", at::kFloat);
  EXPECT_EQ(load_compressor(directory / "", *decoder)->info().method, "mean_pooling");
}

TEST(Registry, RefusesNamesThatAreTaken) {
  for (const char* name : {"selfcp", "icae", "gisting", "ic_former"}) {
    expect_error(
        ErrorKind::kInvalidArgument, name, [&] { register_compressor(name, load_mean_pooling); });
  }
  expect_error(
      ErrorKind::kInvalidArgument, "name", [] { register_compressor("", load_mean_pooling); });
}

}  // namespace
}  // namespace precis
