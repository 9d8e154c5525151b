// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "precis/completion.h"

namespace precis::cli {

// Text that was compressed before the request, which its Timings and Savings do not include.
struct CompressedBefore {
  int64_t tokens = 0;
  double ms = 0;
};

// "2431" as "2,431".
std::string with_commas(int64_t number);
// "23 MB", "1.4 GB".
std::string in_bytes(int64_t bytes);

// Savings and times of a request as one line: "2,431 -> 1,440 tokens (41 % fewer), 23 MB of cache
// saved; compressed 1,324 tokens in 686 ms; prefill 540 ms instead of about 910; 13 tokens in 168
// ms". The time without compression is estimated only if enough tokens were read for a rate.
std::string savings_in_words(const Completion& completion, const CompressedBefore& before);

}  // namespace precis::cli
