// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "precis/token.h"

namespace precis {

// Special tokens of a model, as its tokenizer files name them.
struct SpecialTokens {
  std::optional<TokenId> bos = {};
  std::optional<TokenId> eos = {};
  bool add_bos = false;             // bos is added before a prompt
  bool add_eos = false;             // eos is added after it
  std::vector<TokenId> stops = {};  // end an answer, besides eos
};

// A run of text. Special tokens are recognised in trusted text only; text from users is never
// trusted.
struct TextRun {
  std::string text = {};
  bool trusted = false;
};

// Converts text to token ids and back. All methods are const and may be called from several threads
// at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Number of ids, special tokens included: ids are 0 to vocab_size() - 1. The logits of a model
  // may be padded beyond it.
  virtual int64_t vocab_size() const = 0;
  virtual const SpecialTokens& special_tokens() const = 0;

  // Encodes plain text. No special token is added or recognised: "<|im_end|>" is encoded as text.
  // Added tokens that the model's files do not call special (Qwen 3's "<think>") are recognised, as
  // in Hugging Face's tokenizers, and decode() always shows them. Throws kInvalidArgument if the
  // text is not valid UTF-8.
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;

  // Encodes runs as one text. Special tokens are recognised where they lie wholly inside a trusted
  // run. Neither bos nor eos is added. Throws as encode().
  virtual std::vector<TokenId> encode_runs(std::span<const TextRun> runs) const = 0;

  // The id of the token with this exact name ("<|im_end|>"), if there is one.
  virtual std::optional<TokenId> find(std::string_view token) const = 0;
  virtual bool is_special(TokenId id) const = 0;

  // Decodes ids. Special tokens are shown by their names, or left out with `skip_special`. Bytes
  // that are not valid UTF-8 become U+FFFD. Throws kInvalidArgument if an id is out of range.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;

  // The bytes that an id adds to the text after other ids: possibly part of a character, possibly
  // none.
  virtual std::string token_bytes(TokenId id) const = 0;
};

}  // namespace precis
