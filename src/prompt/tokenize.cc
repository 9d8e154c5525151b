// SPDX-License-Identifier: Apache-2.0
#include "prompt/tokenize.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/check.h"
#include "prompt/layout.h"

namespace precis {
namespace {

// Placeholder of a memory, ids or embeddings inside a message while the template is rendered:
// OBJECT REPLACEMENT CHARACTER.
constexpr const char* kPlaceholder = "\xEF\xBF\xBC";

// Collects pieces in order. Consecutive kept texts are tokenized together once another item
// follows.
class ItemBuilder {
 public:
  explicit ItemBuilder(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  void add_text(std::string text, bool trusted) { runs_.push_back({std::move(text), trusted}); }

  void add(const Prompt::Piece& piece, const std::string* rendered = nullptr) {
    if (const auto* text = std::get_if<Prompt::Text>(&piece)) {
      const std::string& content = rendered ? *rendered : text->text;
      if (text->treatment == Prompt::Treatment::kKeep) return add_text(content, text->trusted);
      flush();
      return add_alone(content, text->treatment);
    }
    flush();
    if (const auto* ids = std::get_if<Prompt::Ids>(&piece)) return add_tokens({ids->ids});
    if (const auto* memory = std::get_if<Memory>(&piece)) return items_.push_back(*memory);
    items_.push_back(std::get<Embeddings>(piece));
  }

  void add_tokens(TokenSpan tokens) {
    if (!tokens.ids.empty()) items_.push_back(std::move(tokens));
  }

  std::vector<PromptItem> finish() {
    flush();
    return std::move(items_);
  }

 private:
  void add_alone(const std::string& text, Prompt::Treatment treatment) {
    std::vector<TokenId> ids = tokenizer().encode(text);
    PRECIS_CHECK(!ids.empty() || treatment != Prompt::Treatment::kCompress,
                 kInvalidArgument,
                 "prompt: the text to be compressed is empty");
    add_tokens({std::move(ids), treatment});
  }

  void flush() {
    if (!runs_.empty()) add_tokens({tokenizer().encode_runs(runs_)});
    runs_.clear();
  }

  const Tokenizer& tokenizer() const {
    PRECIS_CHECK(tokenizer_ != nullptr,
                 kInvalidArgument,
                 "prompt: there is text in it, but the model has no tokenizer");
    return *tokenizer_;
  }

  const Tokenizer* tokenizer_;
  std::vector<TextRun> runs_;
  std::vector<PromptItem> items_;
};

bool is_chat(const Prompt& prompt) { return !prompt.turns().front().role.empty(); }

bool has_chat_options(const Prompt& prompt) {
  return !prompt.chat_options().tools.empty() || !prompt.chat_options().variables.empty();
}

std::vector<PromptItem> tokenize_plain(const Prompt& prompt, const PromptTokenizer& with) {
  const auto& pieces = prompt.turns().front().pieces;
  const Tokenizer* tokenizer = with.tokenizer;
  ItemBuilder builder(tokenizer);
  const SpecialTokens special = tokenizer ? tokenizer->special_tokens() : SpecialTokens{};
  if (special.add_bos && special.bos && !pieces.empty() &&
      takes_bos(pieces.front(), with.cached_memories))
    builder.add_tokens({{*special.bos}, Prompt::Treatment::kKeep, /*implied_bos=*/true});
  for (const Prompt::Piece& piece : pieces) builder.add(piece);
  return builder.finish();
}

void check_role(const std::string& role) {
  constexpr std::array<std::string_view, 4> kRoles{"system", "user", "assistant", "tool"};
  PRECIS_CHECK(std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end(),
               kInvalidArgument,
               "prompt: role \"",
               role,
               "\" is unknown (known: system, user, assistant, tool)");
}

std::string name_of(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? tokenizer.decode(std::array<TokenId, 1>{*id}) : "";
}

std::vector<PromptItem> tokenize_chat(const Prompt& prompt, const PromptTokenizer& with) {
  PRECIS_CHECK(with.chat != nullptr && with.tokenizer != nullptr,
               kInvalidArgument,
               "prompt: it has chat turns, but ",
               with.chat_problem);
  std::vector<MarkedMessage> messages;
  std::vector<const Prompt::Piece*> pieces;
  for (const Prompt::Turn& turn : prompt.turns()) {
    check_role(turn.role);
    messages.push_back({turn.role, {}, turn.fields});
    for (const Prompt::Piece& piece : turn.pieces) {
      const auto* text = std::get_if<Prompt::Text>(&piece);
      messages.back().content.push_back(
          {text ? text->text : kPlaceholder, static_cast<int>(pieces.size())});
      pieces.push_back(&piece);
    }
  }
  const SpecialTokens& special = with.tokenizer->special_tokens();
  ChatTemplateContext context;
  context.options = prompt.chat_options();
  context.bos_token = name_of(*with.tokenizer, special.bos);
  context.eos_token = name_of(*with.tokenizer, special.eos);
  ItemBuilder builder(with.tokenizer);
  std::vector<int> seen(pieces.size(), 0);
  for (const MarkedText& run : with.chat->render(messages, context)) {
    if (run.source < 0) {
      builder.add_text(run.text, /*trusted=*/run.source == MarkedText::kTemplate);
    } else {
      builder.add(*pieces.at(run.source), &run.text);
      ++seen[run.source];
    }
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (std::holds_alternative<Prompt::Text>(*pieces[i])) continue;
    PRECIS_CHECK(seen[i] == 1,
                 kInvalidArgument,
                 "prompt: the chat template shows a memory (or ids, or embeddings) ",
                 seen[i],
                 " times, expected once");
  }
  return builder.finish();
}

}  // namespace

std::vector<PromptItem> tokenize(const Prompt& prompt, const PromptTokenizer& with) {
  PRECIS_CHECK(!prompt.turns().empty(), kInvalidArgument, "prompt: it is empty");
  for (const Prompt::Turn& turn : prompt.turns()) {
    PRECIS_CHECK(turn.role.empty() == !is_chat(prompt),
                 kInvalidArgument,
                 "prompt: text before the first turn(), or a turn() without a role");
  }
  PRECIS_CHECK(is_chat(prompt) || prompt.turns().size() == 1,
               kInvalidArgument,
               "prompt: a turn() without a role");
  PRECIS_CHECK(is_chat(prompt) || !has_chat_options(prompt),
               kInvalidArgument,
               "prompt: chat options (tools or template variables), but no turn()");
  std::vector<PromptItem> items =
      is_chat(prompt) ? tokenize_chat(prompt, with) : tokenize_plain(prompt, with);
  PRECIS_CHECK(!items.empty(), kInvalidArgument, "prompt: it is empty");
  return items;
}

}  // namespace precis
