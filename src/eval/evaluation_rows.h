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

// A text cut in three: what is compressed, what stands verbatim in every arm, what is scored.
struct CutText {
  std::vector<TokenId> older, kept, scored;
  std::string summary;  // as the file gives it; empty: it gives none
};

std::vector<std::span<const TokenId>> older_parts(std::span<const CutText> texts);

struct TextLengths {
  int64_t older = 0, kept = 0, scored = 0;  // tokens
};

struct TextRows {
  std::vector<CutText> texts;
  int64_t num_too_short = 0;  // of the texts before the last one taken
};

// The first `limit` texts of a JSON Lines file that are long enough, each from its beginning. Every
// line is checked. Throws as read_json_lines, and kInvalidArgument naming the file and the line
// without a string "text" or with a "summary" that is no string; kInvalidArgument if no text is
// long enough.
TextRows read_texts(const std::filesystem::path& path,
                    const Tokenizer& tokenizer,
                    const TextLengths& lengths,
                    int64_t limit,
                    const std::function<void(double)>& progress = {});

struct Question {
  std::vector<TokenId> context;
  std::string prompt;
  std::vector<std::string> answers;  // at least one; each is right
  int64_t room = 0;                  // tokens that a context may have beside prompt and answer
};

struct QuestionLengths {
  int64_t context = 0;  // tokens of the context at most
  int64_t all = 0;      // of context, prompt and longest answer together
};

struct QuestionRows {
  std::vector<Question> questions;
  int64_t num_too_long = 0;
};

// The same for questions: string fields "context" and "prompt", and "answer", a string, or
// "answers", an array of strings; none may be empty.
QuestionRows read_questions(const std::filesystem::path& path,
                            const Tokenizer& tokenizer,
                            const QuestionLengths& longest,
                            int64_t limit,
                            const std::function<void(double)>& progress = {});

}  // namespace precis
