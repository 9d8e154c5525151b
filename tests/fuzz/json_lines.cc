// SPDX-License-Identifier: Apache-2.0
// A JSON Lines file, plain or compressed by Zstandard.
#include "io/json_lines.h"

#include <nlohmann/json.hpp>

#include "fuzz/check.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputFile input;
  input.write(data, size);
  fuzz::expect_result_or_error([&] {
    int64_t before = 0;
    double last = 0;
    read_json_lines(
        input.path(),
        [&](const nlohmann::json& object, int64_t line) {
          fuzz::require(object.is_object(), "a line that is no object was taken");
          fuzz::require(line > before, "lines are not counted upwards");
          before = line;
        },
        [&](double share) {
          fuzz::require(share >= last && share <= 1, "progress goes backwards or too far");
          last = share;
        });
  });
  return 0;
}
