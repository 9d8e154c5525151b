// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/decode_batch.h"
#include "engine/scheduled_request.h"
#include "engine/shared_compressions.h"

namespace precis {

// A request that a scheduler has, with what it has become so far.
struct ServedRequest {
  ScheduledRequest request;  // `plan` only until the prompt is prepared
  std::chrono::steady_clock::time_point arrived;
  int64_t blocks = 0;  // reserved in the cache, once it was admitted
  std::vector<std::shared_ptr<SharedCompression>> compressions = {};  // one for each segment
  const SharedCompression* reporter = nullptr;  // the one whose progress it is told
  BatchSequence* sequence = nullptr;            // once the prompt is prepared
  Savings savings = {};
  double compress_ms = 0;
  double queue_ms = 0;
  bool has_ended = false;

  RequestState state() const { return request.record->state(); }
  bool is(RequestState other) const { return state() == other; }
  // Tokens to be compressed or read before the first token of the answer.
  int64_t num_left() const {
    return sequence ? sequence->num_unread() : request.plan.prompt_tokens;
  }
  bool is_compressed() const {
    return std::ranges::all_of(compressions, [](const auto& own) { return own->is_done; });
  }
};

}  // namespace precis
