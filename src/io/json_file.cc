// SPDX-License-Identifier: Apache-2.0
#include "io/json_file.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/mapped_file.h"

namespace precis {

std::string read_file(const std::filesystem::path& path) {
  const MappedFile file = MappedFile::open(path);
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

nlohmann::json read_json(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  PRECIS_CHECK(!parsed.is_discarded(), kBadWeights, path.string(), ": not valid JSON");
  return parsed;
}

}  // namespace precis
