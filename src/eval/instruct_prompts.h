// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "eval/arms.h"
#include "precis/extend/compressor.h"

namespace precis {

// Prompts of an instruction about a text, or about its memory. If the model has a chat template and
// memories can stand in it: a turn of the user with the text (or its memory), an empty line and the
// instruction. Otherwise the compressor's own template, MemoryUse::kInstruct; a text in place of a
// memory stands between the template's ids, without its trained embeddings, which belong to
// memories. The memory of a compressor without weights and with an empty template is followed by an
// empty line, as a text is. Borrows the engine.
class InstructPrompts {
 public:
  // templated: use the compressor's template even if there is a chat template. Throws kUnsupported
  // if the compressor's template is needed and it has none for instructions.
  explicit InstructPrompts(const Engine& engine, bool templated = false);

  bool chat() const { return chat_; }
  TemplatedPrompt without_text(const std::string& instruction) const;
  TemplatedPrompt of_text(Text text, const std::string& instruction) const;
  TemplatedPrompt of_memory(const Memory& memory, const std::string& instruction) const;

 private:
  TemplatedPrompt templated_text(Text text, const std::string& instruction) const;

  const Engine& engine_;
  bool chat_;
  // Without a chat template:
  MemoryTemplate text_template_;  // of kInstruct, its ids alone
  bool starts_with_bos_ = false;  // the text template does
  bool untrained_ = false;        // the template is empty, and no weights were trained without one
};

// Answers, one for each item.
struct ArmAnswers {
  std::vector<std::string> texts;
  std::vector<double> ms;
};

using AnswersByArm = std::map<Arm, ArmAnswers>;

void add_answer(Readings::Answered answered, ArmAnswers& answers);

}  // namespace precis
