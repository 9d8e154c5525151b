// SPDX-License-Identifier: Apache-2.0
#include "compressors/published_weights.h"

#include <gtest/gtest.h>

#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

class PublishedWeights : public testing::Test {
 protected:
  void write(const std::string& name) const {
    const std::string bytes = "four";
    const StoredTensor tensor{"a", "F32", {1}, std::as_bytes(std::span(bytes))};
    write_safetensors(directory / name, {&tensor, 1}, {});
  }
  // Expects a message that names the pickle and the file that unpickling writes.
  void refuse(const fs::path& source, const fs::path& pickle, const std::string& written) const {
    for (const std::string& part : {pickle.string() + ": pickles are not read",
                                    std::string("third_party/unpickle.py"),
                                    "which writes " + written}) {
      expect_error(ErrorKind::kUnsupported, part, [&] { published_weights(source); });
    }
  }

  TemporaryDirectory directory;
};

TEST_F(PublishedWeights, AreAFileOrADirectory) {
  write("model.safetensors");
  for (const fs::path& source : {directory.path(), directory / "model.safetensors"})
    EXPECT_EQ(published_weights(source)->names(), std::vector<std::string>{"a"});
}

TEST_F(PublishedWeights, APickleIsNotRead) {
  for (const std::string name : {"weights.pt", "weights.pth", "weights.bin"}) {
    overwrite(directory / name, "pickle");
    refuse(directory / name, directory / name, "weights.safetensors");
    fs::remove(directory / name);
  }
}

TEST_F(PublishedWeights, APickleInPlaceOfTheFileIsNamed) {
  overwrite(directory / "param.pt", "pickle");
  refuse(directory / "param.safetensors", directory / "param.pt", "param.safetensors");
  write("param.safetensors");
  EXPECT_EQ(published_weights(directory / "param.safetensors")->names().size(), 1u);
}

TEST_F(PublishedWeights, ADirectoryOfPicklesIsNotRead) {
  overwrite(directory / "pytorch_model-00001-of-00002.bin", "pickle");
  refuse(directory.path(), directory.path(), "model*.safetensors");
  write("model.safetensors");
  EXPECT_EQ(published_weights(directory.path())->names().size(), 1u);
}

TEST_F(PublishedWeights, AMissingFileIsNotFound) {
  for (const fs::path& source : {directory.path(), directory / "none.safetensors"})
    expect_error(ErrorKind::kNotFound, source.string(), [&] { published_weights(source); });
}

}  // namespace
}  // namespace precis
