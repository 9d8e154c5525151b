// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "precis/chat.h"
#include "precis/memory.h"
#include "precis/token.h"

namespace precis {

struct EmbeddingsContents;

// Input embeddings that belong to no token, such as the trained embeddings that a compressor's
// template puts around memories (Engine::apply_template). Copies share their values, which never
// change. Only the model that they were trained for reads them.
class Embeddings {
 public:
  int64_t size() const;  // number of embeddings: positions that they take in a prompt

  explicit Embeddings(std::shared_ptr<const EmbeddingsContents> contents);  // for the engine
  const EmbeddingsContents& contents() const { return *contents_; }

 private:
  std::shared_ptr<const EmbeddingsContents> contents_;
};

// A model's input: an ordered list of text, token ids, memories and embeddings.
//
//   Prompt().compress(report).keep("\n\nWhat does the report recommend?")
//
// After turn(), the pieces are the content of chat messages, and the model's chat template is put
// around them; without turn(), they are read as they are. Special tokens are recognised in the text
// of special() only, never in text of users.
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
  using Piece = std::variant<Text, Memory, Ids, Embeddings>;
  struct Turn {
    std::string role = {};  // empty: not a chat
    std::vector<Piece> pieces = {};
    std::string fields = {};  // ChatMessage::fields: a JSON object, or empty
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
  Prompt& add(Piece piece) {
    if (turns_.empty()) turns_.push_back({});
    turns_.back().pieces.push_back(std::move(piece));
    return *this;
  }
  // Starts a chat message: role "system", "user", "assistant" or "tool"; `fields` as in
  // ChatMessage.
  Prompt& turn(std::string role, std::string fields = {}) {
    turns_.push_back({std::move(role), {}, std::move(fields)});
    return *this;
  }
  // Tools, template variables, and whether an answer follows. A prompt with tools or variables but
  // without a turn() is refused where it is used (kInvalidArgument).
  Prompt& chat_options(ChatOptions options) {
    chat_options_ = std::move(options);
    return *this;
  }

  const std::vector<Turn>& turns() const { return turns_; }
  const ChatOptions& chat_options() const { return chat_options_; }

 private:
  std::vector<Turn> turns_;
  ChatOptions chat_options_;
};

}  // namespace precis
