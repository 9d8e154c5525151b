// SPDX-License-Identifier: Apache-2.0
#include "io/json_file.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/check.h"
#include "io/mapped_file.h"

namespace precis {
namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  return std::string(text_of(MappedFile::open(path)));
}

nlohmann::json read_json(const std::filesystem::path& path, JsonNumbers numbers) {
  const MappedFile file = MappedFile::open(path);
  JsonFault fault;
  nlohmann::json parsed = parse_json(text_of(file), numbers, &fault);
  PRECIS_CHECK(
      !parsed.is_discarded(), kBadWeights, path.string(), ": not valid JSON: ", to_text(fault));
  return parsed;
}

}  // namespace precis
