// SPDX-License-Identifier: Apache-2.0
// --refine of precis compress.
#include "cli_fixture.h"

namespace precis {
namespace {

class RefineFlag : public CliTest {
 protected:
  std::string command() const {
    return "compress --model " + kModels + "llama --ids " +
           write("ids.json", nlohmann::json(std::vector<int64_t>(45, 7)).dump()) + " --out " +
           path("m.safetensors");
  }
};

TEST_F(RefineFlag, ARefinedMemoryHasTheSameSize) {
  const nlohmann::json plain = succeed(command());
  EXPECT_EQ(succeed(command() + " --refine 0"), plain);
  EXPECT_EQ(succeed(command() + " --refine 0.5"), plain);
}

TEST_F(RefineFlag, SecondsThatAreNoTimeAreRefused) {
  for (const char* bad : {"-1", "nan", "inf"})
    refuse(command() + " --refine=" + bad, "refine_seconds");
  refuse(command() + " --refine soon", "--refine");
  expect_nothing_at(path("m.safetensors"));
}

}  // namespace
}  // namespace precis
