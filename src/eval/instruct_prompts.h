// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "eval/arms.h"
#include "precis/extend/compressor.h"

namespace precis {

// Instructions about a text that the model reads in different ways. Where the model has a chat
// template and memories can stand in it, a user's turn: the text (or its memory), an empty line and
// the instruction. Otherwise what the compressor was trained to see, MemoryUse::kInstruct; text in
// place of a memory stands between the same ids, without the trained rows that belong to memories.
// A memory of a compressor without weights, which was trained to see nothing, is followed by an
// empty line, as text is. Borrows the engine.
class InstructPrompts {
 public:
  // templated: what the compressor was trained to see, chat or no chat. Throws kUnsupported if
  // there is no chat and the compressor is not made for instructions.
  explicit InstructPrompts(const Engine& engine, bool templated = false);

  bool chat() const { return chat_; }
  TemplatedPrompt without_text(const std::string& instruction) const;
  TemplatedPrompt of_text(Text text, const std::string& instruction) const;
  TemplatedPrompt of_memory(const Memory& memory, const std::string& instruction) const;

 private:
  TemplatedPrompt frame_text(Text text, const std::string& instruction) const;
  void add_ids(const std::vector<TemplateItem>& parts, Prompt& prompt) const;

  const Engine& engine_;
  bool chat_;
  MemoryTemplate template_;       // of kInstruct, where there is no chat
  bool untrained_frame_ = false;  // it has no parts, and nothing was trained to see that
};

// Answers, one for each item.
struct ArmAnswers {
  std::vector<std::string> texts;
  std::vector<double> ms;
};

using AnswersByArm = std::map<Arm, ArmAnswers>;

void add_answer(Readings::Answered answered, ArmAnswers& answers);

}  // namespace precis
