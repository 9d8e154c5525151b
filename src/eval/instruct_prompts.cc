// SPDX-License-Identifier: Apache-2.0
#include "eval/instruct_prompts.h"

#include <utility>

#include "precis/error.h"
#include "precis/extend/tokenizer.h"
#include "prompt/apply_template.h"

namespace precis {
namespace {

constexpr const char* kEmptyLine = "\n\n";

bool holds_ids(const TemplateItem& item) {
  return std::holds_alternative<std::vector<TokenId>>(item);
}

bool is_empty(const MemoryTemplate& around) {
  return around.before.empty() && around.after.empty() && around.end.empty();
}

MemoryTemplate without_embeddings(MemoryTemplate around) {
  for (auto* items : {&around.before, &around.after, &around.end})
    std::erase_if(*items, [](const TemplateItem& item) { return !holds_ids(item); });
  return around;
}

bool starts_with(const std::vector<TemplateItem>& items, const std::vector<TokenId>& ids) {
  if (items.empty() || !holds_ids(items.front()) || ids.empty()) return false;
  const auto& first = std::get<std::vector<TokenId>>(items.front());
  return !first.empty() && first.front() == ids.front();
}

// Whether ids, and so memories, can stand in a user's turn. Templates are programs: it is tried.
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
  const MemoryTemplate around = engine.compressor()->memory_template(MemoryUse::kInstruct);
  text_template_ = without_embeddings(around);
  starts_with_bos_ = starts_with(around.before, bos_of(engine.tokenizer()));
  untrained_ = is_empty(around) && engine.compressor()->info().num_parameters == 0;
}

TemplatedPrompt InstructPrompts::without_text(const std::string& instruction) const {
  if (chat_) return {user_turn(instruction), {}};
  return templated_text({}, instruction);
}

TemplatedPrompt InstructPrompts::of_text(Text text, const std::string& instruction) const {
  if (text.empty()) return without_text(instruction);
  if (!chat_) return templated_text(text, instruction);
  return {Prompt().turn("user").ids({text.begin(), text.end()}).keep(kEmptyLine + instruction), {}};
}

TemplatedPrompt InstructPrompts::of_memory(const Memory& memory,
                                           const std::string& instruction) const {
  if (chat_) return {Prompt().turn("user").memory(memory).keep(kEmptyLine + instruction), {}};
  // A trained compressor has seen nothing but its template between memory and instruction.
  return engine_.apply_template(
      {&memory, 1}, MemoryUse::kInstruct, untrained_ ? kEmptyLine + instruction : instruction);
}

TemplatedPrompt InstructPrompts::templated_text(Text text, const std::string& instruction) const {
  const bool gap = !text.empty() && text_template_.after.empty();
  std::vector<Prompt::Piece> in_place;
  if (!text.empty()) in_place.emplace_back(Prompt::Ids{{text.begin(), text.end()}});
  const Prompt::Piece about = Prompt::Text{gap ? kEmptyLine + instruction : instruction};
  TemplatedPrompt templated{{}, text_template_.answer_ends};
  const std::vector<TokenId> bos = bos_of(engine_.tokenizer());
  if (!bos.empty() && !starts_with_bos_) templated.prompt.ids(bos);
  apply_template(text_template_, in_place, {&about, 1}, engine_.decoder(), templated.prompt);
  return templated;
}

void add_answer(Readings::Answered answered, ArmAnswers& answers) {
  answers.texts.push_back(std::move(answered.text));
  answers.ms.push_back(answered.ms);
}

}  // namespace precis
