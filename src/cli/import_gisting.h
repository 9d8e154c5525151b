// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "precis/extend/compressor_method.h"

namespace precis::cli {

// Adds --check-sum.
void add_check_sum(CLI::App& command, std::optional<double>& check_sum);

// Flags that all methods have.
struct GistingPaths {
  std::filesystem::path source, base, out;  // base empty: the source is a tuned model
  std::string dtype;                        // of weights written
};

// Without a base `out` becomes a compressor for the source. With one, the source is a difference to
// it: `out` becomes the compressor and out/model the model that it is for; `out` has to be new or
// empty, and gets everything or nothing. `settings`: those of gisting_import_options(). Returns
// what is to be printed.
nlohmann::json import_gisting(const CompressorSettings& settings,
                              const std::optional<double>& check_sum,
                              const GistingPaths& paths);

}  // namespace precis::cli
