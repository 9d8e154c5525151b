// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"

namespace precis {

// A text cut in three, see EvaluationOptions.
struct CutText {
  std::vector<TokenId> older, kept, scored;
  std::string summary;  // of the file; empty: none
};

std::vector<std::span<const TokenId>> older_texts(std::span<const CutText> texts);

struct TextLengths {
  int64_t older = 0, kept = 0, scored = 0;  // tokens
};

struct TextItems {
  std::vector<CutText> texts;
  int64_t num_too_short = 0;  // texts skipped before the last one taken
};

// The first `limit` texts of a JSON Lines file that are long enough, cut from their beginning. All
// lines are checked. `progress`: called with the share that is read, 0 to 1. Throws as
// read_json_lines(); kInvalidArgument naming file and line where "text" is not a non-empty string
// or "summary" is something else, and if no text is long enough.
TextItems read_texts(const std::filesystem::path& path,
                     const Tokenizer& tokenizer,
                     const TextLengths& lengths,
                     int64_t limit,
                     const std::function<void(double)>& progress = {});

struct Question {
  std::vector<TokenId> context;
  std::string prompt;
  std::vector<std::string> answers;  // at least one; all are correct
  int64_t room = 0;                  // tokens of context that fit beside prompt and answer
};

// Upper limits, in tokens.
struct QuestionLengths {
  int64_t context = 0;
  int64_t all = 0;  // context, prompt and longest answer together
};

struct QuestionItems {
  std::vector<Question> questions;
  int64_t num_too_long = 0;
};

// The same for questions: objects with strings "context" and "prompt", and a string "answer" or an
// array of strings "answers"; none may be empty.
QuestionItems read_questions(const std::filesystem::path& path,
                             const Tokenizer& tokenizer,
                             const QuestionLengths& longest,
                             int64_t limit,
                             const std::function<void(double)>& progress = {});

}  // namespace precis
