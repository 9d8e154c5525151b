// SPDX-License-Identifier: Apache-2.0
#include "train/chat_form.h"

#include "base/check.h"
#include "precis/extend/load_tokenizer.h"
#include "prompt/tokenize.h"
#include "tokenizers/stop_ids.h"

namespace precis {
namespace {

ChatTemplate template_of(const std::filesystem::path& model) {
  const auto source = load_chat_template(model);
  PRECIS_CHECK(source.has_value(),
               kInvalidArgument,
               model.string(),
               ": has no chat template to train prompts in");
  return ChatTemplate(*source);
}

// Ids before and behind a text that is to be compressed, which is tokenized on its own.
std::pair<std::vector<TokenId>, std::vector<TokenId>> around_text(const std::string& prompt,
                                                                  const PromptTokenizer& with) {
  const std::vector<PromptItem> items =
      tokenize(Prompt().turn("user").compress("text").keep("\n\n" + prompt), with);
  std::pair<std::vector<TokenId>, std::vector<TokenId>> around;
  auto* side = &around.first;
  for (const PromptItem& item : items) {
    const std::vector<TokenId>& ids = tokens_of(item)->ids;
    if (is_to_be_compressed(item))
      side = &around.second;
    else
      side->insert(side->end(), ids.begin(), ids.end());
  }
  return around;
}

}  // namespace

ChatForm::ChatForm(const std::filesystem::path& model, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), template_(template_of(model)) {}

std::vector<TokenId> ChatForm::before() const {
  return around_text("?", {&tokenizer_, &template_}).first;
}

std::vector<TokenId> ChatForm::after(const std::string& prompt) const {
  return around_text(prompt, {&tokenizer_, &template_}).second;
}

std::optional<TokenId> ChatForm::end() const {
  const std::set<TokenId> stops = stop_ids(tokenizer_);
  for (const TokenId id : after("?"))
    if (stops.contains(id)) return id;
  return std::nullopt;
}

}  // namespace precis
