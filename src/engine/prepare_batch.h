// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <span>
#include <vector>

#include "engine/prepare.h"
#include "precis/engine.h"
#include "precis/options.h"

namespace precis {

// A prompt that is ready to be decoded, or the precis::Error why it is not.
struct PreparedOrError {
  Prepared prepared = {};
  std::exception_ptr error = nullptr;
};

// prepare() for each request, in order, after check_options(). The texts of all prompts are
// compressed together (compress_jobs()), and the keys and values of equal prefixes are computed
// once. A request that fails leaves the others alone.
std::vector<PreparedOrError> prepare_batch(std::span<const Request> requests, const Stages& stages);

// Throws kInvalidArgument for options out of range, ids outside the vocabulary, and stop texts
// without a tokenizer.
void check_options(const GenerationOptions& options, const Stages& stages);

}  // namespace precis
