// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "file_fixture.h"
#include "io/json_file.h"
#include "io/safetensors.h"

namespace precis {
namespace {

StoredTensor stored(std::string name,
                    std::string dtype,
                    std::vector<int64_t> shape,
                    std::string_view bytes) {
  return {std::move(name), std::move(dtype), std::move(shape), std::as_bytes(std::span(bytes))};
}

const std::vector<StoredTensor> kTensors{stored("a", "U8", {3}, "abc"),
                                         stored("b", "I64", {1}, "12345678"),
                                         stored("none", "F32", {0}, "")};
const std::map<std::string, std::string> kMetadata{{"format", "pt"}};

class SafetensorsBytes : public FileTest {
 protected:
  static SafetensorsContents parse(const std::string& bytes) {
    return parse_safetensors(std::as_bytes(std::span(bytes)), "the buffer");
  }
};

TEST_F(SafetensorsBytes, AreThoseOfTheFile) {
  for (const auto& tensors : {kTensors, std::vector<StoredTensor>()}) {
    for (const auto& metadata : {kMetadata, std::map<std::string, std::string>()}) {
      write_safetensors(folder() / "file", tensors, metadata);
      EXPECT_EQ(safetensors_bytes_of(tensors, metadata), read_file(folder() / "file"));
    }
  }
}

TEST_F(SafetensorsBytes, AreReadInPlace) {
  const std::string bytes = safetensors_bytes_of(kTensors, kMetadata);
  const SafetensorsContents contents = parse_safetensors(std::as_bytes(std::span(bytes)), "it");
  EXPECT_EQ(contents.metadata, kMetadata);
  ASSERT_EQ(contents.tensors.size(), 3u);
  const StoredTensor* b = contents.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, "I64");
  EXPECT_EQ(b->shape, std::vector<int64_t>{1});
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  EXPECT_GE(b->bytes.data(), begin);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(b->bytes.data()), 8), "12345678");
  EXPECT_EQ(contents.find("c"), nullptr);
}

TEST_F(SafetensorsBytes, ThatAreDamagedAreRefusedByName) {
  const std::string bytes = safetensors_bytes_of(kTensors, kMetadata);
  for (size_t size = 0; size < bytes.size(); ++size) {
    expect_error(ErrorKind::kBadWeights, "the buffer: ", [&] { parse(bytes.substr(0, size)); });
  }
  expect_error(ErrorKind::kBadWeights, "the buffer: ", [&] { parse(bytes + "x"); });
}

TEST_F(SafetensorsBytes, NothingIsWrittenOfTensorsThatDoNotFitTheFormat) {
  const std::vector<StoredTensor> wrong{stored("a", "U8", {4}, "abc")};
  expect_error(
      ErrorKind::kInvalidArgument, "has 3 bytes", [&] { safetensors_bytes_of(wrong, {}); });
  expect_error(ErrorKind::kInvalidArgument, "has 3 bytes", [&] {
    write_safetensors(folder() / "file", wrong, {});
  });
  EXPECT_EQ(num_files(), 0u);
}

}  // namespace
}  // namespace precis
