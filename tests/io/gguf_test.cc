// SPDX-License-Identifier: Apache-2.0
#include "io/gguf.h"

#include "file_fixture.h"

namespace precis {
namespace {

// Types, with the numbers of the file format.
enum ValueType : uint32_t { kUint8, kUint32 = 4, kInt32, kBool = 7, kString, kArray, kUint64 };

// The sections of a file, in order.
struct Sections {
  uint32_t version = 3;
  std::vector<std::string> pairs = {};
  std::vector<std::string> tensors = {};
  std::string data = {};
  size_t alignment = 32;
};

std::string joined(const std::vector<std::string>& sections) {
  std::string all;
  for (const auto& part : sections) all += part;
  return all;
}

std::string assembled(const Sections& sections) {
  Bytes bytes;
  bytes.raw("GGUF").number(sections.version);
  bytes.number<uint64_t>(sections.tensors.size()).number<uint64_t>(sections.pairs.size());
  bytes.raw(joined(sections.pairs)).raw(joined(sections.tensors));
  return bytes.pad_to(sections.alignment).raw(sections.data).str();
}

Bytes key(std::string_view name, uint32_t type) { return Bytes().text(name).number(type); }

Bytes array(std::string_view name, uint32_t type, uint64_t count) {
  return key(name, kArray).number(type).number(count);
}

std::string unsigned_pair(std::string_view name, uint32_t value) {
  return key(name, kUint32).number(value).str();
}

// Dimensions in the order of the file: the innermost first.
std::string tensor(std::string_view name,
                   const std::vector<uint64_t>& dimensions,
                   GgufType type,
                   uint64_t offset) {
  Bytes bytes;
  bytes.text(name).number(static_cast<uint32_t>(dimensions.size()));
  for (const uint64_t dimension : dimensions) bytes.number(dimension);
  return bytes.number(static_cast<uint32_t>(type)).number(offset).str();
}

class GgufTest : public FileTest {
 protected:
  GgufFile open(const Sections& sections) const {
    return GgufFile::open(file_of(assembled(sections)));
  }

  void expect_damaged(std::string_view message, const std::string& bytes) const {
    const auto open_file = [&] { GgufFile::open(file_of(bytes)); };
    expect_error(ErrorKind::kBadWeights, message, open_file);
    expect_error(ErrorKind::kBadWeights, folder().string(), open_file);
  }

  void expect_bad_pair(std::string_view message, const std::string& pair) const {
    expect_damaged(message, assembled({.pairs = {pair}}));
  }

  // Expects an error for these tensors over 64 bytes of data.
  void expect_bad_tensors(std::string_view message, const std::vector<std::string>& tensors) const {
    expect_damaged(message, assembled({.tensors = tensors, .data = std::string(64, 'd')}));
  }
};

TEST_F(GgufTest, ReadsMetadataOfEveryKind) {
  const auto file = GgufFile::open(PRECIS_TEST_GOLDEN_DIR "/gguf/quants.gguf");
  EXPECT_EQ(file.string("general.architecture"), "test");
  EXPECT_EQ(file.integer("small.unsigned"), 200);
  EXPECT_EQ(file.integer("small.signed"), -100);
  EXPECT_EQ(file.integer("medium.unsigned"), 60000);
  EXPECT_EQ(file.integer("medium.signed"), -30000);
  EXPECT_EQ(file.integer("unsigned"), 4000000000);
  EXPECT_EQ(file.integer("signed"), -2000000000);
  EXPECT_EQ(file.integer("large.unsigned"), int64_t{1} << 40);
  EXPECT_EQ(file.integer("large.signed"), -(int64_t{1} << 40));
  EXPECT_EQ(file.number("number"), 0.5);
  EXPECT_EQ(file.number("large.number"), 1e100);
  EXPECT_EQ(file.boolean("yes"), true);
  EXPECT_EQ(file.string("text"), "h\xc3\xa9llo");
  EXPECT_EQ(file.strings("texts"), (std::vector<std::string_view>{"a", "", "ccc"}));
  EXPECT_EQ(file.integers("integers"), (std::vector<int64_t>{3, -1, 4}));
  EXPECT_EQ(file.numbers("numbers"), (std::vector<double>{0.25, -8.0}));
  EXPECT_EQ(file.integers("booleans"), (std::vector<int64_t>{1, 0}));
}

TEST_F(GgufTest, ReadsTensorsOfAnotherWriter) {
  const auto file = GgufFile::open(PRECIS_TEST_GOLDEN_DIR "/gguf/quants.gguf");
  ASSERT_EQ(file.tensors().size(), 11u);
  for (const GgufTensor& tensor : file.tensors()) {
    EXPECT_EQ(tensor.name, gguf_type_name(tensor.type));
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{3, 512}));
    EXPECT_EQ(tensor.num_elements(), 1536);
    EXPECT_EQ(tensor.bytes.size(), gguf_bytes(tensor.type, 1536));
  }
}

TEST_F(GgufTest, ConvertsBetweenKindsOfNumbers) {
  const auto file = open({.pairs = {unsigned_pair("n", 7)}});
  EXPECT_EQ(file.number("n"), 7.0);
  EXPECT_EQ(file.integers("n"), (std::vector<int64_t>{7}));
  EXPECT_EQ(file.numbers("n"), (std::vector<double>{7.0}));
}

TEST_F(GgufTest, ReturnsNulloptForAbsentKeys) {
  const auto file = open({});
  EXPECT_EQ(file.integer("n"), std::nullopt);
  EXPECT_EQ(file.strings("n"), std::nullopt);
  EXPECT_EQ(file.find("n"), nullptr);
}

TEST_F(GgufTest, RefusesToConvertWhatDoesNotFit) {
  const auto file = open({.pairs = {key("text", kString).text("7").str(),
                                    key("huge", kUint64).number(UINT64_MAX).str(),
                                    array("list", kUint64, 1).number(UINT64_MAX).str()}});
  const auto refuses = [&](const auto& action) {
    expect_error(ErrorKind::kBadWeights, "has another type, expected", action);
  };
  refuses([&] { file.integer("text"); });
  refuses([&] { file.number("text"); });
  refuses([&] { file.boolean("text"); });
  refuses([&] { file.strings("text"); });
  refuses([&] { file.numbers("text"); });
  refuses([&] { file.integer("huge"); });
  refuses([&] { file.integers("list"); });
  refuses([&] { file.string("huge"); });
  EXPECT_EQ(file.number("huge"), 0x1p64);
}

TEST_F(GgufTest, ReadsVersionTwo) { EXPECT_TRUE(open({.version = 2}).tensors().empty()); }

TEST_F(GgufTest, PlacesTensorsAndReversesTheirShapes) {
  const auto file = open(
      {.tensors = {tensor("a", {8, 2, 1}, GgufType::kF16, 32), tensor("b", {2}, GgufType::kF32, 0)},
       .data = "bbbbbbbb" + std::string(24, ' ') + std::string(32, 'a')});
  const GgufTensor* a = file.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape, (std::vector<int64_t>{1, 2, 8}));
  ASSERT_EQ(a->bytes.size(), 32u);
  EXPECT_EQ(a->bytes[0], std::byte{'a'});
  EXPECT_EQ(file.find("b")->bytes[7], std::byte{'b'});
}

TEST_F(GgufTest, AlignsDataAsTheFileSays) {
  Sections sections = {.pairs = {unsigned_pair("general.alignment", 128)},
                       .tensors = {tensor("a", {1}, GgufType::kF32, 128)},
                       .data = std::string(128, ' ') + "aaaa",
                       .alignment = 128};
  EXPECT_EQ(open(sections).find("a")->bytes[0], std::byte{'a'});
  sections.tensors = {tensor("a", {1}, GgufType::kF32, 64)};
  expect_damaged("has offset 64, expected a multiple of 128", assembled(sections));
}

TEST_F(GgufTest, RefusesAlignmentsOtherThanPowersOfTwo) {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u}) {
    expect_bad_pair("general.alignment is", unsigned_pair("general.alignment", alignment));
  }
  expect_bad_pair("\"general.alignment\" has another type",
                  key("general.alignment", kString).text("32").str());
}

TEST_F(GgufTest, RefusesOtherFiles) {
  expect_damaged("the magic number takes 4 bytes, but only 0 are left", "");
  expect_damaged("no GGUF file", "GGML" + std::string(100, '\0'));
  for (const uint32_t version : {1u, 4u, 3u << 24}) {
    expect_error(ErrorKind::kUnsupported, "expected 2 or 3", [&] { open({.version = version}); });
  }
}

TEST_F(GgufTest, RefusesCountsBeyondTheFile) {
  const auto header = [](uint64_t tensors, uint64_t pairs) {
    return Bytes().raw("GGUF").number(3u).number(tensors).number(pairs).raw("some bytes").str();
  };
  expect_damaged("the number of tensors is 18446744073709551615", header(UINT64_MAX, 0));
  expect_damaged("the number of metadata pairs is 1", header(0, 1));
}

TEST_F(GgufTest, RefusesTruncatedText) {
  expect_bad_pair("a metadata key takes 99 bytes",
                  Bytes().number<uint64_t>(99).raw("less than that").str());
  expect_bad_pair("metadata \"k\" takes 18446744073709551615 bytes",
                  key("k", kString).number(UINT64_MAX).str());
}

TEST_F(GgufTest, RefusesArraysBeyondTheFile) {
  expect_bad_pair("\"k\" has 2305843009213693953 numbers",
                  array("k", kUint64, (uint64_t{1} << 61) + 1).number<uint64_t>(0).str());
  expect_bad_pair("\"k\" has 99 strings", array("k", kString, 99).text("a").text("b").str());
  expect_bad_pair("\"k\" takes 99 bytes",
                  array("k", kString, 2).text("a").number<uint64_t>(99).str());
}

TEST_F(GgufTest, RefusesArraysOfArrays) {
  expect_error(ErrorKind::kUnsupported, "\"k\" is an array of arrays", [&] {
    open({.pairs = {array("k", kArray, 1).number(0u).number<uint64_t>(0).str()}});
  });
}

TEST_F(GgufTest, RefusesUnknownValueTypes) {
  expect_bad_pair("\"k\" has value type 13, expected 0 to 12", key("k", 13).number(0u).str());
  expect_bad_pair("has value type 99", array("k", 99, 0).str());
}

TEST_F(GgufTest, RefusesBooleansThatAreNeitherTrueNorFalse) {
  expect_bad_pair("a boolean of value 2", key("k", kBool).number(uint8_t{2}).str());
}

TEST_F(GgufTest, RefusesDuplicates) {
  expect_damaged("metadata \"k\" stands twice",
                 assembled({.pairs = {unsigned_pair("k", 1), unsigned_pair("k", 1)}}));
  const std::string a = tensor("a", {1}, GgufType::kF32, 0);
  expect_bad_tensors("tensor \"a\" stands twice", {a, a});
}

TEST_F(GgufTest, RefusesEmptyKeys) {
  expect_bad_pair("a metadata key is empty", unsigned_pair("", 1));
}

TEST_F(GgufTest, RefusesImpossibleShapes) {
  expect_bad_tensors("has 0 dimensions", {tensor("a", {}, GgufType::kF32, 0)});
  expect_bad_tensors("has 5 dimensions", {tensor("a", {1, 1, 1, 1, 1}, GgufType::kF32, 0)});
  expect_bad_tensors("a dimension of size 0", {tensor("a", {4, 0}, GgufType::kF32, 0)});
  constexpr uint64_t kLarge = uint64_t{1} << 32;
  expect_bad_tensors("beyond all memory", {tensor("a", {kLarge, kLarge}, GgufType::kF32, 0)});
  expect_bad_tensors("beyond all memory", {tensor("a", {UINT64_MAX}, GgufType::kF32, 0)});
  // 2^62 elements of 4 bytes wrap around to 0.
  expect_bad_tensors("is larger than the 64 bytes of data",
                     {tensor("a", {uint64_t{1} << 62}, GgufType::kF32, 0)});
}

TEST_F(GgufTest, RefusesRowsThatAreNotWholeBlocks) {
  expect_bad_tensors("has rows of 16 elements, type Q8_0 needs a multiple of 32",
                     {tensor("a", {16, 2}, GgufType::kQ8_0, 0)});
  expect_bad_tensors("has rows of 128 elements, type Q4_K needs a multiple of 256",
                     {tensor("a", {128, 2}, GgufType::kQ4_K, 0)});
}

TEST_F(GgufTest, NamesAnUnsupportedType) {
  expect_error(ErrorKind::kUnsupported, "tensor \"a\" has type 10, which", [&] {
    open({.tensors = {tensor("a", {256}, GgufType{10}, 0)}, .data = std::string(84, 'd')});
  });
}

TEST_F(GgufTest, RefusesDataOutsideTheFile) {
  expect_bad_tensors("has 64 bytes at offset 32, the file has 64 bytes of data",
                     {tensor("a", {16}, GgufType::kF32, 32)});
  expect_bad_tensors("at offset 18446744073709551584",
                     {tensor("a", {16}, GgufType::kF32, UINT64_MAX - 31)});
  expect_bad_tensors("is larger than the 64 bytes", {tensor("a", {17}, GgufType::kF32, 0)});
}

TEST_F(GgufTest, RefusesAFileThatEndsBeforeItsData) {
  expect_damaged("padding before the data",
                 assembled({.tensors = {tensor("a", {1}, GgufType::kF32, 0)}, .alignment = 1}));
}

TEST_F(GgufTest, RefusesOverlaps) {
  expect_bad_tensors("tensor \"b\" overlaps tensor \"a\"",
                     {tensor("a", {1}, GgufType::kF32, 32), tensor("b", {9}, GgufType::kF32, 0)});
  expect_bad_tensors("overlaps",
                     {tensor("a", {1}, GgufType::kF32, 0), tensor("b", {1}, GgufType::kF32, 0)});
}

TEST_F(GgufTest, SurvivesDamage) {
  const std::string bytes = assembled(
      {.pairs = {unsigned_pair("general.alignment", 32),
                 key("text", kString).text("seven").str(),
                 array("texts", kString, 2).text("a").text("b").str(),
                 array("numbers", kInt32, 3).number(1).number(-2).number(3).str()},
       .tensors = {tensor("a", {4, 2}, GgufType::kF32, 0), tensor("b", {32}, GgufType::kQ4_0, 32)},
       .data = std::string(50, 'd')});
  expect_survives_damage(bytes, [](const auto& path) {
    const auto file = GgufFile::open(path);
    for (const GgufTensor& tensor : file.tensors()) {
      std::vector<float> values(static_cast<size_t>(tensor.num_elements()));
      gguf_dequantize(tensor.type, tensor.bytes, values);
    }
  });
}

}  // namespace
}  // namespace precis
