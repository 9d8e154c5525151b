// SPDX-License-Identifier: Apache-2.0
#include "eval/instruct_prompts.h"

#include <utility>

#include "precis/error.h"
#include "precis/extend/tokenizer.h"

namespace precis {
namespace {

constexpr const char* kEmptyLine = "\n\n";

bool has_ids(const std::vector<TemplateItem>& parts) {
  for (const TemplateItem& part : parts)
    if (std::holds_alternative<std::vector<TokenId>>(part)) return true;
  return false;
}

bool is_empty(const MemoryTemplate& around) {
  return around.before.empty() && around.after.empty() && around.end.empty();
}

// Whether ids can stand in a user's turn, as memories do: tried, since templates are programs.
bool reads_chats(const Engine& engine) {
  const std::vector<TokenId> some = engine.tokenizer().encode("a");
  try {
    engine.score_ids(Prompt().turn("user").ids(some).keep("a"), some);
    return true;
  } catch (const Error& error) {
    const bool no_template = error.kind() == ErrorKind::kInvalidArgument ||
                             error.kind() == ErrorKind::kUnsupported ||
                             error.kind() == ErrorKind::kBadWeights;
    if (!no_template) throw;
    return false;
  }
}

Prompt user_turn(const std::string& instruction) { return Prompt().turn("user").keep(instruction); }

}  // namespace

InstructPrompts::InstructPrompts(const Engine& engine, bool templated)
    : engine_(engine), chat_(!templated && reads_chats(engine)) {
  if (chat_) return;
  template_ = engine.compressor()->memory_template(MemoryUse::kInstruct);
  untrained_frame_ = is_empty(template_) && engine.compressor()->info().num_parameters == 0;
}

TemplatedPrompt InstructPrompts::without_text(const std::string& instruction) const {
  if (chat_) return {user_turn(instruction), {}};
  return frame_text({}, instruction);
}

TemplatedPrompt InstructPrompts::of_text(Text text, const std::string& instruction) const {
  if (text.empty()) return without_text(instruction);
  if (!chat_) return frame_text(text, instruction);
  return {Prompt().turn("user").ids({text.begin(), text.end()}).keep(kEmptyLine + instruction), {}};
}

TemplatedPrompt InstructPrompts::of_memory(const Memory& memory,
                                           const std::string& instruction) const {
  if (chat_) return {Prompt().turn("user").memory(memory).keep(kEmptyLine + instruction), {}};
  if (untrained_frame_)
    return {Prompt().memory(memory).keep(kEmptyLine + instruction), template_.answer_ends};
  // As in training: the template alone stands between them.
  return engine_.apply_template({&memory, 1}, MemoryUse::kInstruct, instruction);
}

TemplatedPrompt InstructPrompts::frame_text(Text text, const std::string& instruction) const {
  Prompt prompt;
  const std::vector<TokenId> bos = bos_of(engine_.tokenizer());
  const auto* first = template_.before.empty()
                          ? nullptr
                          : std::get_if<std::vector<TokenId>>(&template_.before.front());
  const bool has_bos =
      first != nullptr && !first->empty() && !bos.empty() && first->front() == bos.front();
  if (!bos.empty() && !has_bos) prompt.ids(bos);
  add_ids(template_.before, prompt);
  if (!text.empty()) prompt.ids({text.begin(), text.end()});
  add_ids(template_.after, prompt);
  const bool gap = !text.empty() && !has_ids(template_.after);
  prompt.keep(gap ? kEmptyLine + instruction : instruction);
  add_ids(template_.end, prompt);
  return {std::move(prompt), template_.answer_ends};
}

void InstructPrompts::add_ids(const std::vector<TemplateItem>& parts, Prompt& prompt) const {
  for (const TemplateItem& part : parts)
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&part)) prompt.ids(*ids);
}

void add_answer(Readings::Answered answered, ArmAnswers& answers) {
  answers.texts.push_back(std::move(answered.text));
  answers.ms.push_back(answered.ms);
}

}  // namespace precis
