// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "compressors/gisting/import_gisting.h"

namespace precis::cli {

struct GistingFlags {
  GistingImportOptions compressor;
  std::optional<double> check_sum;
  bool no_input = false;
};

// --memory-tokens, --no-input, --check-sum.
void add_gisting_flags(CLI::App& command, GistingFlags& flags);

// What the flags of all methods say.
struct GistingPaths {
  std::filesystem::path source, base, out;  // base empty: the source is a tuned model
  std::string dtype;                        // of weights written
};

// Without a base: `out` becomes a compressor for the source. With one, from which the source is the
// difference: `out` becomes that compressor, and out/model the model that it is for; `out` has to
// be new or empty, and gets everything or nothing. Gives what there is to print.
nlohmann::json import_gisting(const GistingFlags& flags, const GistingPaths& paths);

}  // namespace precis::cli
