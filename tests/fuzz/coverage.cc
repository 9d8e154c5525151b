// SPDX-License-Identifier: Apache-2.0
#include "fuzz/coverage.h"

#include <cstddef>
#include <cstdint>

extern "C" char __executable_start;  // by the linker

namespace precis::fuzz {
namespace {

constexpr size_t kWays = size_t{1} << 16;

bool counting = false;
uintptr_t last_place = 0;
uint8_t passes[kWays];  // of each way, from one place in the code to the next, in this run
uint32_t taken[kWays];  // the ways of this run
size_t num_taken = 0;
uint8_t seen[kWays];  // a bit for each magnitude of passes, in all runs

// Loops differ in how often they run by powers of two only.
uint8_t magnitude(uint8_t count) {
  if (count < 4) return static_cast<uint8_t>(1 << (count - 1));
  if (count < 16) return count < 8 ? 8 : 16;
  if (count < 128) return count < 32 ? 32 : 64;
  return 128;
}

}  // namespace

void begin_coverage() {
  last_place = 0;
  counting = true;
}

bool end_coverage() {
  counting = false;
  bool is_new = false;
  for (; num_taken > 0; --num_taken) {
    const uint32_t way = taken[num_taken - 1];
    const uint8_t bit = magnitude(passes[way]);
    is_new = is_new || (seen[way] & bit) == 0;
    seen[way] |= bit;
    passes[way] = 0;
  }
  return is_new;
}

}  // namespace precis::fuzz

// Called by instrumented code at the beginning of every block, so it must be plain itself.
extern "C" [[gnu::no_sanitize_coverage, gnu::no_sanitize("address", "undefined")]] void
__sanitizer_cov_trace_pc() {
  using namespace precis::fuzz;
  if (!counting) return;
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0)) -
                     reinterpret_cast<uintptr_t>(&__executable_start);
  const uintptr_t mixed = place * 0x9e3779b97f4a7c15u >> 40;
  const auto way = static_cast<uint32_t>((mixed ^ last_place) % kWays);
  uint8_t& count = passes[way];
  if (count == 0) taken[num_taken++] = way;
  if (count < 255) ++count;
  last_place = mixed >> 1;  // so that the backward pass is another
}
