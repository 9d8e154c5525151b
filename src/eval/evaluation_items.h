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

// The line below a question, in English and for questions in Chinese: without it F1 mostly measures
// the length of the answers.
inline constexpr const char* kAnswerLine = "Answer with a few words from the text.";
inline constexpr const char* kChineseAnswerLine =  // "Answer with a few words from the text above."
    "\u8bf7\u7528\u4e0a\u6587\u4e2d\u7684\u51e0\u4e2a\u5b57\u56de\u7b54\u3002";

struct Question {
  int64_t context = 0;  // index in QuestionItems::contexts
  std::string prompt;
  std::vector<std::string> answers = {};  // at least one, none twice; all are correct
  int64_t room = 0;                       // tokens of context that fit beside prompt and answer
  std::string answer_line = kAnswerLine;
  double depth = 0;  // of a needle: share of its context that stands before it, 0 to 1
};

// Upper limits, in tokens.
struct QuestionLengths {
  int64_t context = 0;
  int64_t all = 0;  // context, prompt and longest answer together
};

struct QuestionItems {
  std::vector<std::vector<TokenId>> contexts = {};  // each once, in order of its first question
  std::vector<Question> questions = {};
  int64_t num_too_long = 0;
  int64_t needle_tokens = 0;  // TaskResult::needle_tokens
};

// The context of each question.
std::vector<int64_t> contexts_of(std::span<const Question> questions);

// The same for questions: objects with strings "context" and "prompt", and a string "answer" or an
// array of strings "answers"; none may be empty. Questions whose contexts are the same text share a
// context.
QuestionItems read_questions(const std::filesystem::path& path,
                             const Tokenizer& tokenizer,
                             const QuestionLengths& longest,
                             int64_t limit,
                             const std::function<void(double)>& progress = {});

}  // namespace precis
