// SPDX-License-Identifier: Apache-2.0
#include "engine/refine_prompts.h"

#include <array>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "prompt/prompt_item.h"
#include "tokenizers/stop_ids.h"

namespace precis {
namespace {

// Answers to these say what a text is about, and name what is in it.
constexpr std::array kRequests{
    "Summarise the text above.",
    "Which names, dates and numbers occur in the text above? Say what it says about each.",
    "List the facts that the text above states.",
    "Say in other words how the text above begins and how it ends."};

// Each asks for a question about another part or kind of fact, so that the questions differ.
constexpr std::array kAskings{
    "Ask one short question about the beginning of the text above. Write the question only.",
    "Ask one short question about the middle of the text above. Write the question only.",
    "Ask one short question about the end of the text above. Write the question only.",
    "Ask who or what a name in the text above is. Write the question only.",
    "Ask one short question whose answer is a number, a date or a name in the text above. Write "
    "the question only.",
    "Ask one short question about a reason or a way to do something that the text above gives. "
    "Write the question only."};

using Ids = std::vector<TokenId>;

// The ids of a prompt before, between and behind the texts in it that would be compressed, which
// are tokenized on their own.
std::vector<Ids> kept_ids(const Prompt& prompt, const PromptTokenizer& with) {
  std::vector<Ids> runs(1);
  for (const PromptItem& item : tokenize(prompt, with)) {
    if (is_to_be_compressed(item)) {
      runs.emplace_back();
      continue;
    }
    const Ids& ids = tokens_of(item)->ids;
    runs.back().insert(runs.back().end(), ids.begin(), ids.end());
  }
  return runs;
}

// The ids behind the text, up to the answer.
Ids behind_text(const std::string& request, const PromptTokenizer& with) {
  return kept_ids(Prompt().turn("user").compress("text").keep("\n\n" + request), with).back();
}

RefineChat chat_of(const PromptTokenizer& with) {
  RefineChat chat;
  for (const char* request : kRequests) chat.requests.push_back(behind_text(request, with));
  for (const char* asking : kAskings) chat.askings.push_back(behind_text(asking, with));
  // A question stands where the model's own question will.
  std::vector<Ids> around =
      kept_ids(Prompt().turn("user").compress("text").keep("\n\n").compress("question"), with);
  PRECIS_CHECK(
      around.size() == 3, kUnsupported, "refine: the chat template does not show a message once");
  chat.context.before_text = around[0];
  if (!around[0].empty()) chat.context.around_memory.before.emplace_back(around[0]);
  chat.before_question = std::move(around[1]);
  chat.after_question = std::move(around[2]);
  return chat;
}

std::optional<RefineChat> optional_chat(const PromptTokenizer& with) {
  if (with.tokenizer == nullptr || with.chat == nullptr) return std::nullopt;
  try {
    return chat_of(with);
  } catch (const Error& error) {
    log(LogLevel::kInfo, concat("refine: without the model's chat: ", error.what()));
    return std::nullopt;
  }
}

// The compressor's template of continuations; empty if it was not trained for them.
MemoryTemplate continuation_template(const Compressor& compressor) {
  try {
    return compressor.memory_template(MemoryUse::kContinue);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    return {};
  }
}

}  // namespace

RefinePrompts refine_prompts(const CompressionStage& stage) {
  RefinePrompts prompts;
  prompts.plain.around_memory = continuation_template(stage.compressor);
  prompts.never_drawn = stage.info.reserved_ids;
  prompts.chat = optional_chat(stage.tokenizer);
  const Tokenizer* tokenizer = stage.tokenizer.tokenizer;
  if (tokenizer == nullptr) return prompts;
  const SpecialTokens& special = tokenizer->special_tokens();
  if (special.add_bos && special.bos) prompts.plain.before_text = {*special.bos};
  prompts.stop_ids = stop_ids(*tokenizer);
  prompts.vocab_size = tokenizer->vocab_size();
  return prompts;
}

}  // namespace precis
