// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"

namespace precis {

// What compression did for one request.
struct Savings {
  int64_t prompt_tokens =
      0;  // of the prompt as given, memories counted by the text that they stand for
  int64_t prompt_rows = 0;        // that stand in their place
  int64_t rows_read = 0;          // of those, that the model read: all but cached memories
  int64_t compressed_tokens = 0;  // text that this request compressed
  int64_t memory_rows = 0;        // rows of memory in the prompt
  int64_t kv_bytes_saved = 0;     // keys and values that the rows not read would have taken
};

struct Timings {
  double compress_ms = 0;
  double prefill_ms = 0;  // reading the prompt
  double decode_ms = 0;   // all tokens after the first
};

struct Completion {
  enum class Finish { kStop, kLength, kCancelled, kError };

  std::string text = {};
  std::vector<TokenId> ids = {};  // without the stop token
  Finish finish = Finish::kLength;
  Savings savings = {};
  Timings timings = {};
  // In a batch, the precis::Error of a request that failed; the others go on.
  std::exception_ptr error = nullptr;
};

// Negative log-likelihoods in nats, one for each scored id.
struct Score {
  std::vector<double> nll = {};
  double mean() const;
};

}  // namespace precis
