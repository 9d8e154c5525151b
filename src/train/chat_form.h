// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// How a model's chat puts a text and a prompt about it into one turn of the user:
//   before, text, after("\n\n" + prompt) -> answer.
class ChatForm {
 public:
  // Throws kInvalidArgument if the model has no chat template. Borrows the tokenizer.
  ChatForm(const std::filesystem::path& model, const Tokenizer& tokenizer);

  std::vector<TokenId> before() const;
  std::vector<TokenId> after(const std::string& prompt) const;
  // What ends a turn, and so the answer; none if the template has nothing that the decoder stops
  // at.
  std::optional<TokenId> end() const;

 private:
  const Tokenizer& tokenizer_;
  ChatTemplate template_;
};

}  // namespace precis
