// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// The ids that a model's chat template puts around a text and a prompt about it, in one turn of the
// user: before(), text, after(prompt), answer. An empty line separates text and prompt.
class ChatForm {
 public:
  // Throws kInvalidArgument if the model has no chat template. Borrows the tokenizer.
  ChatForm(const std::filesystem::path& model, const Tokenizer& tokenizer);

  std::vector<TokenId> before() const;
  std::vector<TokenId> after(const std::string& prompt) const;
  // The id that ends a turn, and so the answer; none if the template ends turns with no stop id.
  std::optional<TokenId> end() const;

 private:
  const Tokenizer& tokenizer_;
  ChatTemplate template_;
};

}  // namespace precis
