// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "precis/engine.h"

namespace precis {

// Scores and answers of prompts. A prompt without memories is read once and its result kept, since
// the ratios and compressors of one run share such prompts: a number or an answer for each, found
// by a hash of the prompt and of what is asked. For one thread at a time.
// REQUIRES: all engines have the same model, dtype and device.
class Readings {
 public:
  struct Scored {
    double nll = 0;  // mean over the ids, in nats
    double ms = 0;   // when it was read
  };
  struct Answered {
    std::string text;
    double ms = 0;
  };

  Scored score(const Engine& engine, const Prompt& prompt, std::span<const TokenId> ids);
  // Greedily, with at most `max_tokens` tokens.
  Answered answer(const Engine& engine, const TemplatedPrompt& templated, int64_t max_tokens);

  int64_t size() const { return std::ssize(scores_) + std::ssize(answers_); }  // results kept

 private:
  std::map<std::string, Scored> scores_;
  std::map<std::string, Answered> answers_;
};

}  // namespace precis
