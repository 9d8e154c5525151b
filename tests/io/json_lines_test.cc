// SPDX-License-Identifier: Apache-2.0
#include "io/json_lines.h"

#include <gmock/gmock.h>
#include <zstd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "file_fixture.h"

namespace precis {
namespace {

std::string zstd(std::string_view text) {
  std::string bytes(ZSTD_compressBound(text.size()), '\0');
  bytes.resize(ZSTD_compress(bytes.data(), bytes.size(), text.data(), text.size(), 3));
  return bytes;
}

class JsonLinesTest : public FileTest {
 protected:
  using Lines = std::vector<std::pair<int64_t, std::string>>;

  static Lines read(const std::filesystem::path& path) {
    Lines lines;
    read_json_lines(path, [&](const nlohmann::json& object, int64_t line) {
      lines.emplace_back(line, object.dump());
    });
    return lines;
  }

  Lines lines_of(std::string_view bytes) const { return read(file_of(bytes)); }

  void refuse(std::string_view bytes, ErrorKind kind, std::string_view part) const {
    const auto path = file_of(bytes);
    expect_error(kind, part, [&] { read(path); });
    expect_error(kind, path.string(), [&] { read(path); });
  }
};

TEST_F(JsonLinesTest, VisitsEachObjectWithItsLine) {
  const Lines expected{{1, R"({"text":"a"})"}, {2, R"({"text":"b\nc"})"}};
  EXPECT_EQ(lines_of("{\"text\": \"a\"}\n{\"text\": \"b\\nc\"}\n"), expected);
  EXPECT_EQ(lines_of("{\"text\": \"a\"}\n{\"text\": \"b\\nc\"}"), expected);
  EXPECT_EQ(lines_of("{\"text\": \"a\"}\r\n{\"text\": \"b\\nc\"}\r\n"), expected);
}

TEST_F(JsonLinesTest, BlankLinesCountButAreNotVisited) {
  EXPECT_EQ(lines_of("\n \t\r\n{}\n\n"), (Lines{{3, "{}"}}));
  EXPECT_EQ(lines_of(""), Lines{});
}

TEST_F(JsonLinesTest, CompressedFilesAreDetectedByTheirBytes) {
  EXPECT_EQ(lines_of(zstd("{}\n{\"a\":1}\n")), (Lines{{1, "{}"}, {2, R"({"a":1})"}}));
  EXPECT_EQ(lines_of(zstd("{\"a\":") + zstd("1}\n{}")), (Lines{{1, R"({"a":1})"}, {2, "{}"}}));
  EXPECT_EQ(lines_of(zstd("")), Lines{});
}

TEST_F(JsonLinesTest, LinesMayBeLongerThanTheBuffer) {
  std::mt19937 random(7);
  std::string text;
  Lines expected;
  for (int64_t line = 1; line <= 5; ++line) {
    std::string letters(ZSTD_DStreamOutSize() * 2 + line, ' ');
    for (char& letter : letters) letter = static_cast<char>('a' + random() % 26);
    const std::string object = nlohmann::json{{"text", letters}}.dump();
    expected.emplace_back(line, object);
    text += object + "\n";
  }
  EXPECT_EQ(lines_of(text), expected);
  EXPECT_EQ(lines_of(zstd(text)), expected);
}

TEST_F(JsonLinesTest, ALineOtherThanAnObjectIsNamed) {
  for (const std::string line : {"no", "[1]", "\"text\"", "{\"a\":1", "{}{}", "{\"a\":\"\xff\"}"}) {
    refuse(
        "{}\n\n" + line + "\n{}\n", ErrorKind::kInvalidArgument, ": line 3 is not a JSON object");
    refuse(zstd("{}\n\n" + line), ErrorKind::kInvalidArgument, ": line 3 is not a JSON object");
  }
}

TEST_F(JsonLinesTest, ErrorsSayWhatIsWrongWithALine) {
  refuse("{}\n[1]\n",
         ErrorKind::kInvalidArgument,
         "line 2 is not a JSON object in UTF-8: it is an array");
  refuse("\"text\"\n", ErrorKind::kInvalidArgument, "it is a string");
  refuse("{\"a\": 1, b}\n", ErrorKind::kInvalidArgument, "UTF-8: column 10: ");
  refuse("{\"a\":\"\xff\"}\n", ErrorKind::kInvalidArgument, "ill-formed UTF-8");
  refuse("{}\n{\"a\":" + std::string(100'000, '['),
         ErrorKind::kInvalidArgument,
         "line 2 is not a JSON object in UTF-8: column 205: more than 200 objects and arrays");
}

TEST_F(JsonLinesTest, TruncatedCompressedDataIsRefused) {
  const std::string whole = zstd("{\"text\":\"one two three\"}\n{}\n");
  for (size_t length = 4; length < whole.size(); ++length)
    refuse(whole.substr(0, length), ErrorKind::kBadWeights, "its end is missing");
}

TEST_F(JsonLinesTest, DamagedCompressedDataIsRefused) {
  const std::string whole = zstd("{}\n");
  refuse(whole + "more", ErrorKind::kBadWeights, "cannot be decompressed");
  refuse("\x28\xB5\x2F\xFD\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
         ErrorKind::kBadWeights,
         "cannot be decompressed");
}

TEST_F(JsonLinesTest, SurvivesDamage) {
  const auto open = [](const std::filesystem::path& path) { read(path); };
  expect_survives_damage("{\"text\": \"\\u00e9 and [1, {}]\"}\n\n{}\n", open);
  expect_survives_damage(zstd("{\"text\": \"a a a a a a a a a a a\"}\n{}\n"), open);
}

TEST_F(JsonLinesTest, AMissingFileIsNotFound) {
  expect_error(ErrorKind::kNotFound, "absent.jsonl", [&] { read(folder() / "absent.jsonl"); });
}

TEST_F(JsonLinesTest, ExceptionsOfTheVisitorPassThrough) {
  const auto path = file_of("{}\n{}\n");
  int64_t seen = 0;
  EXPECT_THROW(read_json_lines(path,
                               [&](const nlohmann::json&, int64_t line) {
                                 seen = line;
                                 throw std::out_of_range("mine");
                               }),
               std::out_of_range);
  EXPECT_EQ(seen, 1);
}

TEST_F(JsonLinesTest, ProgressGrowsToOne) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "{\"number\": " + std::to_string(i) + "}\n";
  for (const std::string& bytes : {text, zstd(text)}) {
    std::vector<double> heard;
    read_json_lines(
        file_of(bytes),
        [](const nlohmann::json&, int64_t) {},
        [&](double done) { heard.push_back(done); });
    ASSERT_GT(heard.size(), 2u);
    EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
    EXPECT_GT(heard.front(), 0.0);
    EXPECT_EQ(heard.back(), 1.0);
  }
}

}  // namespace
}  // namespace precis
