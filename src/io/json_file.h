// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace precis {

// Throws kNotFound if there is no such file, kBadWeights if it is not JSON.
nlohmann::json read_json(const std::filesystem::path& path);

// The bytes of a file. Throws as MappedFile::open.
std::string read_file(const std::filesystem::path& path);

}  // namespace precis
