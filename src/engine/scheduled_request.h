// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine/prepare.h"
#include "engine/request_record.h"
#include "precis/engine.h"
#include "precis/options.h"
#include "precis/serving.h"

namespace precis {

// A request whose prompt is tokenized and fits the window: what a scheduler takes.
struct ScheduledRequest {
  PromptPlan plan;
  GenerationOptions options;  // of the sampler: ids that the compressor reserves are suppressed
  TextCallback on_text;
  SubmitOptions submission;
  std::shared_ptr<RequestRecord> record;
  int64_t most_blocks = 0;  // that it needs in the cache; 0: not counted
};

// Throws as check_options() and plan(), and kInvalidArgument for submission options out of range.
// reserved_ids: CompressorInfo::reserved_ids.
ScheduledRequest schedule(const Request& request,
                          const SubmitOptions& submission,
                          const Stages& stages,
                          std::span<const TokenId> reserved_ids);

// The most blocks of the cache that the request needs for its prompt and max_tokens. Throws as
// Compressor::memory_size().
int64_t most_blocks(const PromptPlan& plan, const Stages& stages);

// Throws kInvalidArgument for options out of range, ids outside the vocabulary, and stop texts
// without a tokenizer.
void check_options(const GenerationOptions& options, const Stages& stages);

}  // namespace precis
