// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "precis/memory.h"

namespace precis {

// What a model is to read: an ordered list of text and memories.
//
//   Prompt().compress(report).keep("\n\nWhat does the report recommend?")
//
// After turn(), pieces are the content of chat messages, and the model's own chat template is put
// around them; without, they are read as they stand. Text given here never becomes a special token,
// whatever it looks like; special() is the exception, for text of your own making.
class Prompt {
 public:
  enum class Treatment {
    kKeep,      // read verbatim
    kContext,   // verbatim if the prompt fits; else as GenerationOptions::overflow says
    kCompress,  // always compressed
  };
  struct Text {
    std::string text = {};
    Treatment treatment = Treatment::kKeep;
    bool trusted = false;  // special tokens are recognised
  };
  struct Ids {
    std::vector<TokenId> ids = {};  // read as they are
  };
  using Piece = std::variant<Text, Memory, Ids>;
  struct Turn {
    std::string role = {};  // empty: not a chat
    std::vector<Piece> pieces = {};
  };

  Prompt& keep(std::string text) { return add(Text{std::move(text), Treatment::kKeep, false}); }
  Prompt& context(std::string text) {
    return add(Text{std::move(text), Treatment::kContext, false});
  }
  Prompt& compress(std::string text) {
    return add(Text{std::move(text), Treatment::kCompress, false});
  }
  Prompt& special(std::string text) { return add(Text{std::move(text), Treatment::kKeep, true}); }
  Prompt& memory(Memory memory) { return add(std::move(memory)); }
  Prompt& ids(std::vector<TokenId> ids) { return add(Ids{std::move(ids)}); }
  // Starts a chat message: role "system", "user", "assistant" or "tool".
  Prompt& turn(std::string role) {
    turns_.push_back({std::move(role), {}});
    return *this;
  }

  const std::vector<Turn>& turns() const { return turns_; }

 private:
  Prompt& add(Piece piece) {
    if (turns_.empty()) turns_.push_back({});
    turns_.back().pieces.push_back(std::move(piece));
    return *this;
  }

  std::vector<Turn> turns_;
};

}  // namespace precis
