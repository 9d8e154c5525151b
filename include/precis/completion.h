// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "precis/token.h"

namespace precis {

// What compression saved for one request.
struct Savings {
  int64_t prompt_tokens = 0;      // before compression; a memory counts the tokens of its text
  int64_t prompt_rows = 0;        // after compression: keys and values that attention reads
  int64_t rows_read = 0;          // of those, computed by the model: all but cached memories
  int64_t compressed_tokens = 0;  // tokens of text that this request compressed
  int64_t memory_rows = 0;        // memory tokens in the prompt
  int64_t kv_bytes_saved = 0;     // bytes of the keys and values of prompt_tokens - prompt_rows
};

// Wall-clock times of one request. Requests of a batch are compressed and prefilled together: each
// is given the time until that was done for all of them.
struct Timings {
  double compress_ms = 0;
  double prefill_ms = 0;  // until the first token was drawn
  double decode_ms = 0;   // all tokens after the first
  double queue_ms = 0;    // until it was admitted (ServingOptions)
};

// The answer to one request.
struct Completion {
  enum class Finish {
    kStop,       // a stop token or a stop text
    kLength,     // GenerationOptions::max_tokens
    kCancelled,  // a callback returned false, or RequestHandle::cancel()
    kError,      // see `error`
    kDeadline,   // SubmitOptions::deadline has passed
  };

  std::string text = {};
  std::vector<TokenId> ids = {};  // without the stop token
  Finish finish = Finish::kLength;
  Savings savings = {};
  Timings timings = {};
  // In a batch, the precis::Error of a request that failed; the others are answered.
  std::exception_ptr error = nullptr;
};

// Negative log-likelihoods in nats, one for each scored token.
struct Score {
  std::vector<double> nll = {};
  double mean() const;  // 0 if no token was scored
};

}  // namespace precis
