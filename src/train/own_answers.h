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
  std::vector<std::string> prompts;  // asked of the texts in turn; empty: default_prompts()
  int64_t rows = 1000;               // questions to be asked
  int64_t min_context = 64;          // tokens of a text that are asked about
  int64_t max_context = 256;
  int64_t max_tokens = 96;  // of an answer; longer ones are left out
  int64_t batch = 8;        // answers at a time
  uint64_t seed = 1;
};

// Prompts that fit any passage.
const std::vector<std::string>& default_prompts();

// Training data without labels: the frozen model answers prompts about texts that it reads in full,
// and a compressor then learns to make it say the same from a memory (objective `instruct`). Each
// answer becomes a line {"index", "context", "prompt", "answer"} at the end of the JSON Lines file
// `out`; what is there already is not asked again, so that an interrupted run goes on where it was.
// Answers are greedy; those that do not end within max_tokens leave no line. `progress`, if any,
// hears the share that is done; returning false stops. Returns the number of lines written. Throws
// kInvalidArgument for options out of range, texts that are all too short, a model without chat
// template, or a file at `out` that is something else or that another process is adding to.
int64_t write_own_answers(const Engine& engine,
                          const TokenDataset& texts,
                          const OwnAnswersOptions& options,
                          const std::filesystem::path& out,
                          const std::function<bool(double)>& progress = {});

}  // namespace precis
