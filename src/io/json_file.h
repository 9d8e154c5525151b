// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "io/json_text.h"

namespace precis {

// The value of a JSON file. Throws kNotFound if there is no such file, kBadWeights naming the file
// and the position of the error if it is not JSON or exceeds the limits of json_text.h.
nlohmann::json read_json(const std::filesystem::path& path,
                         JsonNumbers numbers = JsonNumbers::kPython);

// The bytes of a file. Throws as MappedFile::open.
std::string read_file(const std::filesystem::path& path);

}  // namespace precis
