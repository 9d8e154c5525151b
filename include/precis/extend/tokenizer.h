// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace precis {

using TokenId = int64_t;

// What a model wants around and inside its text, as its tokenizer files say.
struct SpecialTokens {
  std::optional<TokenId> bos = {};
  std::optional<TokenId> eos = {};
  bool add_bos = false;  // a whole prompt starts with bos
  bool add_eos = false;
  std::vector<TokenId> stops = {};  // end an answer, beside eos
};

// A run of text and whether special tokens are recognised in it. Text from users is never trusted.
struct TextRun {
  std::string text = {};
  bool trusted = false;
};

// Text to token ids and back. All methods are const and safe to call from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Number of ids, special tokens included: ids are 0 .. vocab_size() - 1.
  virtual int64_t vocab_size() const = 0;
  virtual const SpecialTokens& special_tokens() const = 0;

  // Plain text: nothing is added, and look-alikes of special tokens such as "<|im_end|>" stay text.
  // Added tokens that the model's files do not call special (Qwen 3's "<think>") are words like any
  // other, as in Hugging Face's tokenizers: they are found in every text, and always shown.
  // Throws kInvalidArgument if the text is not valid UTF-8.
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;

  // Runs that stand next to each other are one text; special tokens are recognised where they lie
  // wholly inside a trusted run. Neither bos nor eos is added. Throws as encode.
  virtual std::vector<TokenId> encode_runs(std::span<const TextRun> runs) const = 0;

  // The id of a token by its exact name ("<|im_end|>"), if there is one.
  virtual std::optional<TokenId> find(std::string_view token) const = 0;
  virtual bool is_special(TokenId id) const = 0;

  // The text of ids, special tokens by their names unless `skip_special`. Bytes that are not valid
  // UTF-8 become U+FFFD. Throws kInvalidArgument if an id is out of range.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;

  // The bytes that an id adds to the text when it follows other ids: may be a part of a character,
  // may be empty.
  virtual std::string token_bytes(TokenId id) const = 0;
};

}  // namespace precis
