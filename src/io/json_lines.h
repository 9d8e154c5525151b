// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>

namespace precis {

// Reads a JSON Lines file, plain or compressed by Zstandard (detected by its first bytes), and
// calls `visit` with the object of each line and the line's number, from 1, in order. Blank lines
// count but are not visited. `progress`, if any, is called with the share of the file that has been
// read, 0 to 1, and with 1 at the end. Only one line is held in memory.
//
// Throws kNotFound if there is no such file, kInvalidArgument naming the file and the line that is
// no JSON object in UTF-8, kBadWeights naming the file if its compressed data is damaged or cut
// off. What `visit` throws ends the reading and passes through.
void read_json_lines(const std::filesystem::path& path,
                     const std::function<void(const nlohmann::json& object, int64_t line)>& visit,
                     const std::function<void(double)>& progress = {});

}  // namespace precis
