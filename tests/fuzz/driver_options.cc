// SPDX-License-Identifier: Apache-2.0
#include "fuzz/driver_options.h"

#include <charconv>
#include <stdexcept>
#include <string_view>

namespace precis::fuzz {
namespace {

template <typename Number>
void read_number(const std::string& flag, std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::runtime_error("-" + flag + ": not a number that fits");
}

void read_flag(DriverOptions& options, const std::string& flag, const std::string& value) {
  if (flag == "runs") {
    read_number(flag, value, options.runs);
  } else if (flag == "max_total_time") {
    read_number(flag, value, options.max_total_time);
  } else if (flag == "seed") {
    read_number(flag, value, options.seed);
  } else if (flag == "max_len") {
    read_number(flag, value, options.max_len);
  } else if (flag == "timeout") {
    read_number(flag, value, options.timeout);
  } else if (flag == "rss_limit_mb") {
    read_number(flag, value, options.rss_limit_mb);
  } else if (flag == "artifact_prefix") {
    options.artifact_prefix = value;
  } else if (flag == "dict") {
    options.dict = value;
  } else {
    throw std::runtime_error("-" + flag +
                             ": unknown (known: runs, max_total_time, seed, max_len, timeout, "
                             "rss_limit_mb, artifact_prefix, dict, each as -flag=value)");
  }
}

}  // namespace

DriverOptions read_options(int argc, char** argv) {
  DriverOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (!argument.starts_with("-")) {
      options.inputs.push_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const bool valued = equals != std::string::npos;
    read_flag(options,
              argument.substr(1, valued ? equals - 1 : equals),
              valued ? argument.substr(equals + 1) : "");
  }
  if (options.inputs.empty()) throw std::runtime_error("no seeds: name directories or files");
  return options;
}

}  // namespace precis::fuzz
