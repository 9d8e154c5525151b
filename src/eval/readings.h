// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "precis/engine.h"

namespace precis {

// Scores and answers of prompts. Results of prompts without memories are kept, since the ratios and
// compressors of one run share such prompts; the key is a hash of the prompt and of what is scored
// or asked. For one thread at a time. REQUIRES: all engines have the same model, dtype and device.
class Readings {
 public:
  struct Scored {
    double nll = 0;  // mean over the ids, in nats
    double ms = 0;   // to compute
  };
  struct Answered {
    std::string text;
    double ms = 0;
  };

  Scored score(const Engine& engine, const Prompt& prompt, std::span<const TokenId> ids);
  // Greedily, with at most `max_tokens` tokens.
  Answered answer(const Engine& engine, const TemplatedPrompt& templated, int64_t max_tokens);

  int64_t size() const { return std::ssize(scores_) + std::ssize(answers_); }  // kept results

 private:
  std::map<std::string, Scored> scores_;
  std::map<std::string, Answered> answers_;
};

}  // namespace precis
