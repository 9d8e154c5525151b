// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <cmath>
#include <exception>
#include <new>
#include <set>

#include "base/check.h"
#include "io/json_file.h"
#include "tokenizers/added_token_list.h"
#include "tokenizers/byte_token.h"
#include "tokenizers/normalizer.h"
#include "tokenizers/sentencepiece_model.h"
#include "tokenizers/tokenizer_settings.h"
#include "tokenizers/utf8.h"

// libsentencepiece and libtorch's libc10 each define a variable of this name, of 32 bytes and of 4,
// and the loader resolves both to the first that it finds. In libc10 the larger one would overlap
// other variables, among them the switch by which libtorch aborts when memory runs out. This
// definition is found before either and is large enough for both.
[[gnu::visibility("default")]] alignas(16) char FLAGS_minloglevel[64];

namespace precis {
namespace {

using Processor = sentencepiece::SentencePieceProcessor;

std::unique_ptr<const Processor> load_processor(const std::string& serialized,
                                                const std::string& origin) {
  auto processor = std::make_unique<Processor>();
  sentencepiece::util::Status status;
  try {
    status = processor->LoadFromSerializedProto(serialized);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (
      const std::exception& error) {  // thrown by its table of pieces for a piece with a zero byte
    fail(ErrorKind::kBadWeights, origin, ": SentencePiece refuses the pieces: ", error.what());
  }
  PRECIS_CHECK(status.ok(), kBadWeights, origin, ": ", status.message());
  return processor;
}

Token make_token(const Processor& processor, int id) {
  Token token{processor.IdToPiece(id), {}, TokenRole::kText};
  token.bytes = token.name;
  if (processor.IsControl(id) || processor.IsUnknown(id)) {
    token.role = TokenRole::kSpecial;
  } else if (processor.IsByte(id)) {
    token.role = TokenRole::kByte;
    if (const auto byte = byte_of_token_name(token.name)) {
      token.bytes.assign(1, static_cast<char>(*byte));
    }
  } else {
    token.bytes = unescape_spaces(token.name);
  }
  return token;
}

// The library looks up single characters among all pieces, including control pieces.
bool may_come_from_text(const Token& token) {
  return !is_utf8(token.name) || token.name.empty() ||
         code_point_at(token.name, 0).size == token.name.size();
}

void check_piece(const Processor& processor,
                 int id,
                 const Token& token,
                 const std::string& origin) {
  PRECIS_CHECK(!processor.IsControl(id) || !may_come_from_text(token),
               kBadWeights,
               origin,
               ": the control piece ",
               id,
               " is a single character");
  PRECIS_CHECK(std::isfinite(processor.GetScore(id)),
               kBadWeights,
               origin,
               ": the score of piece ",
               id,
               " is not finite");
}

std::vector<Token> read_tokens(const Processor& processor, const std::string& origin) {
  const int size = processor.GetPieceSize();
  PRECIS_CHECK(size <= Vocabulary::kMaxSize, kBadWeights, origin, ": a vocabulary of ", size);
  std::vector<Token> tokens;
  tokens.reserve(static_cast<size_t>(size));
  for (int id = 0; id < size; ++id) {
    tokens.push_back(make_token(processor, id));
    check_piece(processor, id, tokens.back(), origin);
  }
  return tokens;
}

std::vector<AddedToken> special_tokens_of(const std::vector<Token>& tokens) {
  std::vector<AddedToken> special;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].role != TokenRole::kSpecial) continue;
    special.push_back({});
    special.back().id = static_cast<TokenId>(id);
    special.back().text = tokens[id].name;
    special.back().special = true;
  }
  return special;
}

std::set<std::string, std::less<>> special_names(const std::vector<AddedToken>& added) {
  std::set<std::string, std::less<>> names;
  for (const AddedToken& token : added) {
    if (token.special) names.insert(token.text);
  }
  return names;
}

// The library returns -1 for a token that the model lacks.
std::optional<TokenId> id_or_none(int id) {
  return id < 0 ? std::nullopt : std::optional<TokenId>(id);
}

SpecialTokens own_special_tokens(const Processor& processor) {
  SpecialTokens special;
  special.bos = id_or_none(processor.bos_id());
  special.eos = id_or_none(processor.eos_id());
  special.add_bos = special.bos.has_value();
  return special;
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(TokenizerParts parts,
                                               std::unique_ptr<const Processor> processor,
                                               std::unique_ptr<const Processor> behind_tokens)
    : VocabularyTokenizer(std::move(parts)),
      processor_(std::move(processor)),
      behind_tokens_(std::move(behind_tokens)) {}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

void SentencePieceTokenizer::append_ids(std::string_view text,
                                        bool at_start,
                                        std::vector<TokenId>& ids) const {
  std::vector<int> encoded;
  const Processor& processor = at_start || !behind_tokens_ ? *processor_ : *behind_tokens_;
  const auto status = processor.Encode(text, &encoded);
  PRECIS_CHECK(status.ok(), kInternal, "sentencepiece: ", status.message());
  ids.insert(ids.end(), encoded.begin(), encoded.end());
}

std::unique_ptr<Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& path,
                                                        const TokenizerSettings& settings) {
  const std::string origin = path.string();
  const SentencePieceModel model =
      check_sentencepiece_model(read_file(path), special_names(settings.added_tokens), origin);
  const bool space_at_start = model.adds_dummy_prefix && settings.space_at_start;
  auto processor =
      load_processor(space_at_start ? model.serialized : model.serialized_without_space, origin);
  std::unique_ptr<const Processor> behind_tokens;
  if (space_at_start && !settings.space_behind_tokens) {
    behind_tokens = load_processor(model.serialized_without_space, origin);
  }
  auto tokens = read_tokens(*processor, origin);
  std::vector<AddedToken> added = special_tokens_of(tokens);
  merge_added_tokens(added, with_known_ids(settings.added_tokens, tokens));
  place_added_tokens(added, tokens, origin);
  Vocabulary vocabulary(std::move(tokens), origin);
  const SpecialTokens special =
      apply_settings(settings, vocabulary, own_special_tokens(*processor), origin);
  TokenizerParts parts{
      std::move(vocabulary), AddedTokens(std::move(added)), special, space_at_start};
  return std::make_unique<SentencePieceTokenizer>(
      std::move(parts), std::move(processor), std::move(behind_tokens));
}

}  // namespace precis
