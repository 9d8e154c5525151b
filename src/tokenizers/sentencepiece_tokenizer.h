// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizers/vocabulary_tokenizer.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace precis {

// A SentencePiece model run by its own library. Each text between added tokens is encoded on its
// own. "legacy" of tokenizer_config.json says whether texts after an added token get the dummy
// prefix, too, as in transformers (absent: no).
class SentencePieceTokenizer : public VocabularyTokenizer {
 public:
  using Processor = sentencepiece::SentencePieceProcessor;

  // `behind_tokens`: for texts that follow an added token; null: the same for all texts.
  SentencePieceTokenizer(TokenizerParts parts,
                         std::unique_ptr<const Processor> processor,
                         std::unique_ptr<const Processor> behind_tokens);
  ~SentencePieceTokenizer() override;

 protected:
  void append_ids(std::string_view text, bool at_start, std::vector<TokenId>& ids) const override;

 private:
  std::unique_ptr<const Processor> processor_;
  std::unique_ptr<const Processor> behind_tokens_;
};

// Reads a tokenizer.model. BOS is added unless `settings`, from the other files of the directory,
// say otherwise. Throws kNotFound, kBadWeights or kUnsupported, naming the file.
struct TokenizerSettings;
std::unique_ptr<Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& path,
                                                        const TokenizerSettings& settings);

}  // namespace precis
