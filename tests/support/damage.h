// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "io/json_file.h"

namespace precis {

// Replaces a file by these bytes.
inline void overwrite(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline void cut_end(const std::filesystem::path& path, std::uintmax_t bytes) {
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - bytes);
}

// Opens a JSON file, lets `damage` change it and writes it back.
template <typename Damage>
void damage_json(const std::filesystem::path& path, const Damage& damage) {
  nlohmann::json json = read_json(path);
  damage(json);
  overwrite(path, json.dump());
}

}  // namespace precis
