// SPDX-License-Identifier: Apache-2.0
// bank.json, beside the memory files that the seeds name.
#include <nlohmann/json.hpp>

#include "fuzz/check.h"
#include "fuzz/input_file.h"
#include "fuzz/small_parts.h"
#include "precis/memory_bank.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace precis;
  static const fuzz::InputDirectory directory;
  static const bool written = (fuzz::small_bank().save(directory.path()), true);
  fuzz::require(written, "no bank");
  directory.write("bank.json", data, size);
  fuzz::expect_result_or_error([&] {
    const MemoryBank bank = MemoryBank::load(directory.path());
    const std::vector<std::string> names = bank.names();
    fuzz::require(static_cast<int64_t>(names.size()) == bank.size(), "names are not memories");
    if (!names.empty()) bank.nearest(bank.get(names.front()), 2);
  });
  return 0;
}
