// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "text/vocabulary_tokenizer.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace precis {

// A SentencePiece model run by its own library. Each text between special tokens is encoded for
// itself, with the model's dummy prefix, as the Llama tokenizer of transformers does ("legacy").
class SentencePieceTokenizer : public VocabularyTokenizer {
 public:
  using Processor = sentencepiece::SentencePieceProcessor;

  SentencePieceTokenizer(TokenizerParts parts, std::unique_ptr<const Processor> processor);
  ~SentencePieceTokenizer() override;

 protected:
  void append_ids(std::string_view text, bool at_start, std::vector<TokenId>& ids) const override;

 private:
  std::unique_ptr<const Processor> processor_;
};

// Reads a tokenizer.model. bos goes in front unless `settings`, from tokenizer_config.json, says
// otherwise. Throws kNotFound, kBadWeights or kUnsupported, naming the file.
struct TokenizerSettings;
std::unique_ptr<Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& path,
                                                        const TokenizerSettings& settings);

}  // namespace precis
