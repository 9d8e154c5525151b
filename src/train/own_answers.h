// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "precis/engine.h"
#include "train/token_dataset.h"

namespace precis {

struct OwnAnswersOptions {
  std::vector<std::string> prompts;  // used in turn; empty: default_prompts()
  int64_t num_questions = 1000;
  int64_t min_context = 64;  // tokens of text in a question
  int64_t max_context = 256;
  int64_t max_tokens = 96;  // of an answer; longer answers are left out
  int64_t batch = 8;        // answers generated at a time
  uint64_t seed = 1;
};

// General prompts, which fit any text.
const std::vector<std::string>& default_prompts();

// Makes training data without labels: the frozen model answers prompts about texts that it reads in
// full, greedily, and a compressor is then trained towards the same answers from a memory
// (objective `instruct`). Appends a line {"index", "context", "prompt", "answer"} for each answer
// to the JSON Lines file `out`; answers longer than max_tokens are left out. Questions that the
// file has passed are not asked again, so that an interrupted run resumes. `progress`: called with
// the share that is done, 0 to 1; returning false stops. Returns the number of lines written.
// Throws kInvalidArgument for options out of range, texts that are all too short, a model without
// chat template, or a file at `out` that is something else or in use by another process.
int64_t write_own_answers(const Engine& engine,
                          const TokenDataset& texts,
                          const OwnAnswersOptions& options,
                          const std::filesystem::path& out,
                          const std::function<bool(double)>& progress = {});

}  // namespace precis
