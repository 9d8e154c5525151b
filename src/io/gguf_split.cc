// SPDX-License-Identifier: Apache-2.0
#include "io/gguf_split.h"

#include <iomanip>
#include <string>
#include <string_view>
#include <system_error>

#include "base/check.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

// "-00002-of-00003.gguf"
std::string ending(int64_t index, int64_t count) {
  const auto number = std::setw(5);
  return concat(std::setfill('0'), "-", number, index + 1, "-of-", number, count, ".gguf");
}

std::string in_words(const GgufSplit& split) {
  return concat("part ", split.index + 1, " of a model that is split over ", split.count, " files");
}

// The common start of the names of all files; nullopt if this name has another ending.
std::optional<std::string> common_start(const fs::path& file, const GgufSplit& split) {
  std::string name = file.filename().string();
  const std::string own = ending(split.index, split.count);
  if (!name.ends_with(own)) return std::nullopt;
  name.resize(name.size() - own.size());
  return name;
}

void check_is_first(const fs::path& file, const GgufSplit& split) {
  if (split.index == 0) return;
  const auto start = common_start(file, split);
  fail(ErrorKind::kInvalidArgument,
       file.string(),
       ": ",
       in_words(split),
       "; give the first one",
       start ? concat(", ", *start, ending(0, split.count)) : std::string());
}

}  // namespace

std::vector<fs::path> other_gguf_parts(const fs::path& file, const GgufSplit& split) {
  check_is_first(file, split);
  const auto start = common_start(file, split);
  PRECIS_CHECK(start,
               kBadWeights,
               file.string(),
               ": ",
               in_words(split),
               " (split.count), but its name does not end in ",
               ending(0, split.count),
               ", by which the others would be found");
  std::vector<fs::path> others;
  for (int64_t i = 1; i < split.count; ++i) {
    const fs::path other = file.parent_path() / concat(*start, ending(i, split.count));
    std::error_code ignored;
    PRECIS_CHECK(fs::exists(other, ignored),
                 kNotFound,
                 file.string(),
                 ": ",
                 in_words(split),
                 ", but ",
                 other.filename().string(),
                 " is not beside it");
    others.push_back(other);
  }
  return others;
}

}  // namespace precis
