// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace precis::fuzz {

// Flags of libFuzzer, by the same names, so that scripts need not know which of the two is there.
struct DriverOptions {
  uint64_t runs = UINT64_MAX;    // -runs=
  double max_total_time = 1e18;  // -max_total_time=, seconds
  uint64_t seed = 1;             // -seed=
  uint64_t max_len = 0;          // -max_len=, bytes; 0: a little more than the longest seed
  double timeout = 20;           // -timeout=, seconds on the processor for one input
  uint64_t rss_limit_mb = 4096;  // -rss_limit_mb=, of the process
  std::string artifact_prefix;   // -artifact_prefix=, before the names of files of failing inputs
  std::string dict;              // -dict=, a file
  std::vector<std::string> inputs;  // files: each is run once. Directories: what is changed; new
                                    // inputs that take new ways are kept in the first
};

// Throws std::runtime_error naming the flag that is unknown or no number.
DriverOptions read_options(int argc, char** argv);

}  // namespace precis::fuzz
