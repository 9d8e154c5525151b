// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizers/byte_token.h"
#include "tokenizers/gguf_tokenizer.h"
#include "tokenizers/gguf_vocabulary.h"
#include "tokenizers/greedy_merge.h"
#include "tokenizers/normalizer.h"
#include "tokenizers/utf8.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace precis {
namespace {

std::vector<Symbol> split_into_characters(const Vocabulary& vocabulary, std::string_view text) {
  std::vector<Symbol> symbols;
  symbols.reserve(text.size());
  for (size_t begin = 0; begin < text.size();) {
    const size_t size = code_point_at(text, begin).size;
    const auto id = vocabulary.find_text(text.substr(begin, size));
    symbols.push_back({id.value_or(Symbol::kUnknown), begin, begin + size});
    begin += size;
  }
  return symbols;
}

std::vector<float> read_scores(const GgufFile& file, size_t num_tokens) {
  const auto numbers = file.numbers("tokenizer.ggml.scores");
  PRECIS_CHECK(numbers && numbers->size() == num_tokens,
               kBadWeights,
               file.path().string(),
               ": tokenizer.ggml.scores should have ",
               num_tokens,
               " entries, has ",
               numbers ? numbers->size() : 0);
  for (const double score : *numbers) {
    PRECIS_CHECK(!std::isnan(score), kBadWeights, file.path().string(), ": a score is NaN");
  }
  return {numbers->begin(), numbers->end()};
}

void fill_bytes(GgufTokens& tokens) {
  for (Token& token : tokens.tokens) {
    const bool escaped = token.role == TokenRole::kText || token.role == TokenRole::kAdded;
    token.bytes = escaped ? unescape_spaces(token.name) : token.name;
    if (token.role != TokenRole::kByte) continue;
    if (const auto byte = byte_of_token_name(token.name))
      token.bytes.assign(1, static_cast<char>(*byte));
  }
}

// The SentencePiece library would normalise the text by these rules, which GGUF stores in an opaque
// form that Precis does not read.
void check_no_rewriting(const GgufFile& file) {
  const bool squeezes = file.boolean("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  const auto map = file.integers("tokenizer.ggml.precompiled_charsmap");
  PRECIS_CHECK(
      !squeezes && (!map || map->empty()),
      kUnsupported,
      file.path().string(),
      ": the tokenizer rewrites its text (precompiled_charsmap, remove_extra_whitespaces)");
}

// A SentencePiece BPE vocabulary: adjacent symbols are merged into the token with the best score;
// characters without a token become byte tokens. User-defined tokens are matched in any text.
class GgufSpmTokenizer final : public VocabularyTokenizer {
 public:
  struct Rules {
    std::vector<float> scores;  // one for each token
    std::vector<AddedToken> user_defined;
    TokenId unknown = 0;
    bool add_space_prefix = true;
  };

  GgufSpmTokenizer(TokenizerParts parts, Rules rules)
      : VocabularyTokenizer(std::move(parts)),
        scores_(std::move(rules.scores)),
        user_defined_(std::move(rules.user_defined)),
        unknown_(rules.unknown),
        add_space_prefix_(rules.add_space_prefix),
        byte_ids_(find_byte_tokens(vocabulary())) {}

 protected:
  void append_ids(std::string_view text,
                  bool /*at_start*/,
                  std::vector<TokenId>& ids) const override {
    const std::string escaped = escape_spaces((add_space_prefix_ ? " " : "") + std::string(text));
    const ByteRange everything = {0, escaped.size()};
    for (const auto& [range, token] : user_defined_.split(escaped, {&everything, 1})) {
      if (token) {
        ids.push_back(*token);
      } else {
        append_merged(std::string_view(escaped).substr(range.begin, range.end - range.begin), ids);
      }
    }
  }

 private:
  void append_merged(std::string_view escaped, std::vector<TokenId>& ids) const {
    std::vector<Symbol> symbols = split_into_characters(vocabulary(), escaped);
    const auto find = [&](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
      const auto id = vocabulary().find_text(escaped.substr(left.begin, right.end - left.begin));
      if (!id) return std::nullopt;
      return Merge{-static_cast<double>(scores_[static_cast<size_t>(*id)]), *id};
    };
    GreedyMerge(symbols, find).run();
    for (const Symbol& symbol : symbols) {
      if (symbol.id != Symbol::kUnknown) {
        ids.push_back(symbol.id);
      } else {
        append_bytes(escaped.substr(symbol.begin, symbol.end - symbol.begin), ids);
      }
    }
  }

  void append_bytes(std::string_view character, std::vector<TokenId>& ids) const {
    for (const char byte : character) {
      const TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
      ids.push_back(id);
      if (id != Symbol::kUnknown) continue;
      ids.back() = unknown_;
      return;
    }
  }

  std::vector<float> scores_;
  AddedTokens user_defined_;
  TokenId unknown_;
  bool add_space_prefix_;
  std::array<TokenId, 256> byte_ids_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_gguf_spm_tokenizer(const GgufFile& file) {
  check_no_rewriting(file);
  GgufTokens tokens = read_gguf_tokens(file);
  fill_bytes(tokens);
  GgufSpmTokenizer::Rules rules;
  rules.scores = read_scores(file, tokens.tokens.size());
  rules.user_defined = added_tokens_of(tokens, {GgufTokenType::kUserDefined});
  for (AddedToken& token : rules.user_defined) token.text = escape_spaces(token.text);
  rules.unknown = read_gguf_id(file, "tokenizer.ggml.unknown_token_id", tokens).value_or(0);
  rules.add_space_prefix = file.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  const SpecialTokens special = read_gguf_special_tokens(file, tokens, true);
  AddedTokens control(added_tokens_of(tokens, {GgufTokenType::kControl, GgufTokenType::kUnknown}));
  TokenizerParts parts{Vocabulary(std::move(tokens.tokens), file.path().string()),
                       std::move(control),
                       special,
                       rules.add_space_prefix};
  return std::make_unique<GgufSpmTokenizer>(std::move(parts), std::move(rules));
}

}  // namespace precis
