// SPDX-License-Identifier: Apache-2.0
#include "cli/savings_in_words.h"

#include <cmath>

#include "base/check.h"

namespace precis::cli {
namespace {

constexpr int64_t kTokensForARate = 128;  // short prompts have another rate than long ones

std::string milliseconds(double time) { return concat(with_commas(std::llround(time)), " ms"); }

// Lengths of the prompt without and with compression.
std::string lengths(const Savings& savings) {
  const int64_t tokens = savings.prompt_tokens, rows = savings.prompt_rows;
  if (savings.memory_rows == 0 || rows >= tokens) return concat(with_commas(tokens), " tokens");
  const double fewer = 100.0 * static_cast<double>(tokens - rows) / static_cast<double>(tokens);
  return concat(with_commas(tokens),
                " -> ",
                with_commas(rows),
                " tokens (",
                std::llround(fewer),
                " % fewer), ",
                in_bytes(savings.kv_bytes_saved),
                " of cache saved");
}

std::string reading(const Savings& savings, double ms) {
  std::string words = concat("; prefill ", milliseconds(ms));
  if (savings.rows_read < kTokensForARate || savings.rows_read >= savings.prompt_tokens)
    return words;
  const double full =
      ms * static_cast<double>(savings.prompt_tokens) / static_cast<double>(savings.rows_read);
  return words + concat(" instead of about ", with_commas(std::llround(full)));
}

}  // namespace

std::string with_commas(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t first = number < 0 ? 1 : 0;
  for (size_t place = digits.size(); place > first + 3; place -= 3) digits.insert(place - 3, ",");
  return digits;
}

std::string in_bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 999.5e6) return concat(std::round(value / 1e8) / 10, " GB");
  if (value >= 9.95e6) return concat(std::llround(value / 1e6), " MB");
  if (value >= 999.5e3) return concat(std::round(value / 1e5) / 10, " MB");
  return concat(std::llround(value / 1e3), " kB");
}

std::string savings_in_words(const Completion& completion, const CompressedBefore& before) {
  const Savings& savings = completion.savings;
  const Timings& timings = completion.timings;
  std::string words = lengths(savings);
  const int64_t compressed = savings.compressed_tokens + before.tokens;
  if (compressed > 0)
    words += concat("; compressed ",
                    with_commas(compressed),
                    " tokens in ",
                    milliseconds(timings.compress_ms + before.ms));
  return words + reading(savings, timings.prefill_ms) +
         concat("; ",
                with_commas(std::ssize(completion.ids)),
                " tokens in ",
                milliseconds(timings.decode_ms));
}

}  // namespace precis::cli
