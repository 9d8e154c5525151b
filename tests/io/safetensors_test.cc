// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <algorithm>

#include "file_fixture.h"

namespace precis {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

StoredTensor stored(std::string name,
                    std::string dtype,
                    std::vector<int64_t> shape,
                    std::string_view bytes) {
  return {std::move(name), std::move(dtype), std::move(shape), std::as_bytes(std::span(bytes))};
}

std::string with_header(std::string_view header, std::string_view data = "") {
  return Bytes().text(header).raw(data).str();
}

class SafetensorsTest : public FileTest {
 protected:
  SafetensorsFile open(std::string_view bytes) const {
    return SafetensorsFile::open(file_of(bytes));
  }

  SafetensorsFile written(const std::vector<StoredTensor>& tensors,
                          const std::map<std::string, std::string>& metadata = {}) const {
    write_safetensors(folder() / "written", tensors, metadata);
    return SafetensorsFile::open(folder() / "written");
  }

  void expect_damaged(std::string_view message, std::string_view bytes) const {
    expect_error(ErrorKind::kBadWeights, message, [&] { open(bytes); });
    expect_error(ErrorKind::kBadWeights, folder().string(), [&] { open(bytes); });
  }

  // Expects an error for one tensor "x" with this description, over four bytes of data.
  void expect_bad_tensor(std::string_view message, std::string_view description) const {
    expect_damaged(message, with_header(R"({"x":)" + std::string(description) + "}", "data"));
  }
};

TEST_F(SafetensorsTest, ReadsWhatItWrote) {
  const auto file = written({stored("a", "U8", {2, 3}, "sixsix"), stored("b", "F16", {}, "hi")},
                            {{"format", "pt"}, {"k\"ey", "v\xc3\xa4lue\n"}});
  const std::map<std::string, std::string> metadata = {{"format", "pt"},
                                                       {"k\"ey", "v\xc3\xa4lue\n"}};
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), 2u);
  const StoredTensor* a = file.find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dtype, "U8");
  EXPECT_EQ(a->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(text_of(a->bytes), "sixsix");
  EXPECT_EQ(text_of(file.find("b")->bytes), "hi");
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST_F(SafetensorsTest, KnowsEveryDtype) {
  const std::string eight = "12345678";
  std::vector<StoredTensor> tensors;
  for (const auto& [size, dtypes] :
       std::map<int64_t, std::vector<std::string>>{{1, {"BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"}},
                                                   {2, {"U16", "I16", "F16", "BF16"}},
                                                   {4, {"U32", "I32", "F32"}},
                                                   {8, {"U64", "I64", "F64"}}}) {
    for (const auto& dtype : dtypes) tensors.push_back(stored(dtype, dtype, {8 / size}, eight));
  }
  const auto file = written(tensors);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const StoredTensor& tensor : file.tensors()) EXPECT_EQ(text_of(tensor.bytes), eight);
}

TEST_F(SafetensorsTest, WritesEveryTensorAtAMultipleOfItsElementSize) {
  const auto file = written({stored("byte", "U8", {1}, "1"),
                             stored("half", "F16", {1}, "22"),
                             stored("long", "I64", {1}, "88888888")});
  const auto offset = [&](std::string_view name) {
    return file.find(name)->bytes.data() - file.file().bytes().data();
  };
  EXPECT_EQ(offset("long") % 8, 0);
  EXPECT_EQ(offset("half") % 2, 0);
}

TEST_F(SafetensorsTest, ListsTensorsInTheOrderOfTheirOffsets) {
  const auto file = open(with_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[3,4]},)"
                                     R"("b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}   )",
                                     "data"));
  EXPECT_EQ(file.tensors().front().name, "b");
  EXPECT_EQ(text_of(file.tensors().back().bytes), "a");
}

// The reference library reads null as no metadata and refuses all other values but objects.
TEST_F(SafetensorsTest, MetadataMayBeNull) {
  const auto file = open(with_header(
      R"({"__metadata__":null,"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "data"));
  EXPECT_TRUE(file.metadata().empty());
  EXPECT_EQ(text_of(file.find("a")->bytes), "data");
  expect_damaged("\"__metadata__\" stands twice",
                 with_header(R"({"__metadata__":null,"__metadata__":{}})"));
  expect_damaged("null is out of place in \"__metadata__\"",
                 with_header(R"({"__metadata__":{"a":null}})"));
}

TEST_F(SafetensorsTest, MayHaveTensorsWithoutElements) {
  const auto file = written({stored("full", "U8", {2}, "22"), stored("empty", "F32", {4, 0}, "")});
  EXPECT_EQ(file.find("empty")->shape, (std::vector<int64_t>{4, 0}));
  EXPECT_TRUE(file.find("empty")->bytes.empty());
}

TEST_F(SafetensorsTest, MayBeEmpty) {
  EXPECT_TRUE(written({}).tensors().empty());
  EXPECT_TRUE(open(with_header("{}")).tensors().empty());
}

TEST_F(SafetensorsTest, ReadsAFileOfAnotherWriter) {
  const auto file = SafetensorsFile::open(PRECIS_TEST_GOLDEN_DIR "/gguf/quants.safetensors");
  EXPECT_EQ(file.metadata().at("gguf"), "0.19.0");
  EXPECT_EQ(file.find("Q4_K")->shape, (std::vector<int64_t>{3, 512}));
}

TEST_F(SafetensorsTest, RefusesAFileTooShortForItsHeader) {
  expect_damaged("begins with 8 bytes", "");
  expect_damaged("begins with 8 bytes", "1234567");
  expect_damaged("header of 3 bytes, expected at most 2",
                 Bytes().number<uint64_t>(3).raw("{}").str());
  expect_damaged("header of 18446744073709551615 bytes",
                 Bytes().number(UINT64_MAX).raw("{}").str());
}

TEST_F(SafetensorsTest, RefusesAHeaderBeyondTheLimit) {
  const auto path = file_of(Bytes().number<uint64_t>(100'000'001).str());
  std::filesystem::resize_file(path, 200'000'000);
  expect_error(
      ErrorKind::kBadWeights, "expected at most 100000000", [&] { SafetensorsFile::open(path); });
}

TEST_F(SafetensorsTest, RefusesAHeaderThatIsNotJson) {
  expect_damaged("not a JSON object", with_header(""));
  expect_damaged("not a JSON object", with_header("[]"));
  expect_damaged("not a JSON object", with_header(" {}"));
  expect_damaged("not a JSON object", with_header(std::string("{}\0{}", 5)));
  expect_damaged("not valid JSON near byte", with_header("{"));
  expect_damaged("not valid JSON near byte", with_header("{}{}"));
  expect_damaged("not valid JSON near byte", with_header("{\"\xff\":1}"));
  expect_damaged("not valid JSON near byte", with_header(R"({"x":1e999})"));
}

TEST_F(SafetensorsTest, RefusesDeepNestingWithoutRecursion) {
  std::string header = R"({"x":{"shape":)";
  header.append(1'000'000, '[');
  expect_damaged("an array is out of place", with_header(header));
  expect_damaged("an object is out of place", with_header(R"({"x":{"dtype":{}}})"));
}

TEST_F(SafetensorsTest, RefusesValuesOutOfPlace) {
  expect_bad_tensor("a number is out of place in \"x\"", "1");
  expect_bad_tensor("null is out of place", "null");
  expect_bad_tensor("a number is out of place", R"({"dtype":8})");
  expect_bad_tensor("a string is out of place", R"({"shape":["4"]})");
  expect_bad_tensor("a negative number", R"({"shape":[-4]})");
  expect_bad_tensor("a fraction", R"({"shape":[4.0]})");
  expect_bad_tensor("a fraction", R"({"shape":[18446744073709551616]})");
  expect_bad_tensor("a huge shape", R"({"shape":[9223372036854775808]})");
  expect_bad_tensor("a boolean", R"({"data_offsets":[true]})");
  expect_bad_tensor("a number is out of place", R"({"data_offsets":[0,4,4]})");
  expect_damaged("a number is out of place in \"__metadata__\"",
                 with_header(R"({"__metadata__":{"epoch":3}})"));
}

TEST_F(SafetensorsTest, RefusesTensorsWithMissingOrUnknownKeys) {
  const std::string_view message = "needs exactly a dtype, a shape and two data_offsets";
  expect_bad_tensor(message, "{}");
  expect_bad_tensor(message, R"({"shape":[4],"data_offsets":[0,4]})");
  expect_bad_tensor(message, R"({"dtype":"U8","shape":[4],"data_offsets":[0]})");
  expect_bad_tensor("a string is out of place",
                    R"({"dtype":"U8","shape":[4],"data_offsets":[0,4],"more":"x"})");
}

TEST_F(SafetensorsTest, RefusesDuplicates) {
  const std::string x = R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_damaged("\"x\" stands twice", with_header("{" + x + "," + x + "}"));
  expect_damaged("stands twice", with_header(R"({"__metadata__":{},"__metadata__":{}})"));
  expect_damaged("has \"a\" twice", with_header(R"({"__metadata__":{"a":"1","a":"2"}})"));
  expect_bad_tensor("\"x\" has \"dtype\" twice", R"({"dtype":"U8","dtype":"I8"})");
}

TEST_F(SafetensorsTest, RefusesWrongRanges) {
  const std::string_view message = "of the 4 that the file has";
  expect_bad_tensor(message, R"({"dtype":"U8","shape":[5],"data_offsets":[0,5]})");
  expect_bad_tensor(message, R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})");
  expect_bad_tensor("takes 4 bytes, its dtype and shape say 8",
                    R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})");
}

TEST_F(SafetensorsTest, RefusesShapesWhoseSizeWrapsAround) {
  expect_bad_tensor("beyond all memory",
                    R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})");
  expect_bad_tensor("beyond all memory",
                    R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})");
}

TEST_F(SafetensorsTest, RefusesOverlaps) {
  expect_damaged("\"b\" overlaps",
                 with_header(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                             R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                             "data"));
}

TEST_F(SafetensorsTest, RefusesGaps) {
  expect_bad_tensor("leaves a gap", R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})");
  expect_bad_tensor("1 bytes at the end", R"({"dtype":"U8","shape":[3],"data_offsets":[0,3]})");
  expect_damaged("2 bytes at the end", with_header("{}", "xx"));
}

TEST_F(SafetensorsTest, NamesAnUnknownDtype) {
  expect_error(ErrorKind::kUnsupported, "tensor \"x\" has dtype \"F4\"", [&] {
    open(with_header(R"({"x":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}})", "data"));
  });
}

TEST_F(SafetensorsTest, KeepsMessagesToOneLineWhateverTheNames) {
  expect_damaged("\"a?b\"", with_header(R"({"a\nb":1})"));
  expect_damaged("xxx...\"", with_header("{\"" + std::string(1000, 'x') + "\":1}"));
}

TEST_F(SafetensorsTest, SurvivesDamage) {
  written({stored("a", "U8", {2, 3}, "sixsix"), stored("b", "F16", {2}, "four")}, {{"k", "v"}});
  const auto written_file = MappedFile::open(folder() / "written");
  expect_survives_damage(std::string(text_of(written_file.bytes())),
                         [](const auto& path) { SafetensorsFile::open(path); });
}

TEST_F(SafetensorsTest, RefusesToWriteWhatDoesNotFitTheFormat) {
  const auto refuses = [&](std::string_view message, const std::vector<StoredTensor>& tensors) {
    expect_error(ErrorKind::kInvalidArgument, message, [&] { written(tensors); });
  };
  refuses("has 4 bytes, its dtype and shape say 8", {stored("a", "F32", {2}, "four")});
  refuses("its dtype and shape", {stored("a", "F32", {-1}, "four")});
  refuses("no place in the format", {stored("a", "float", {1}, "four")});
  refuses("no place in the format", {stored("__metadata__", "F32", {1}, "four")});
  refuses("two tensors are named \"a\"", {stored("a", "U8", {}, "1"), stored("a", "U8", {}, "1")});
  refuses("UTF-8", {stored("\xff", "U8", {}, "1")});
  EXPECT_EQ(num_files(), 0u);
}

TEST_F(SafetensorsTest, ReplacesAFileThatIsStillMapped) {
  const auto old = written({stored("a", "U8", {3}, "old")});
  const auto replaced = written({old.tensors()[0], stored("b", "U8", {3}, "new")});
  EXPECT_EQ(text_of(replaced.find("a")->bytes), "old");
  EXPECT_EQ(text_of(old.find("a")->bytes), "old");
}

TEST_F(SafetensorsTest, WritesText) {
  write_text_file(folder() / "text", "first");
  write_text_file(folder() / "text", std::string_view("a\0b\n", 4));
  EXPECT_EQ(text_of(MappedFile::open(folder() / "text").bytes()), std::string_view("a\0b\n", 4));
  EXPECT_EQ(num_files(), 1u);
}

TEST_F(SafetensorsTest, LeavesNothingBehindWhenWritingFails) {
  expect_error(ErrorKind::kInvalidArgument, "cannot be written: No such file or directory", [&] {
    write_text_file(folder() / "nowhere" / "text", "text");
  });
  std::filesystem::create_directory(folder() / "taken");
  expect_error(ErrorKind::kInvalidArgument, "cannot be written", [&] {
    write_text_file(folder() / "taken", "text");
  });
  EXPECT_EQ(num_files(), 1u);
}

}  // namespace
}  // namespace precis
