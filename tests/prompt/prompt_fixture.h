// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "memory/memory_contents.h"
#include "precis/extend/tokenizer.h"
#include "prompt/embeddings.h"
#include "prompt/prompt_item.h"

namespace precis {

// One id for each byte; "<b>" is the only special token, id 256.
class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(bool add_bos = false) { special_ = {256, std::nullopt, add_bos, false}; }
  int64_t vocab_size() const override { return 257; }
  const SpecialTokens& special_tokens() const override { return special_; }
  std::vector<TokenId> encode(std::string_view text) const override {
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::vector<TokenId> encode_runs(std::span<const TextRun> runs) const override {
    std::vector<TokenId> ids;
    for (const TextRun& run : runs) {
      std::string_view left = run.text;
      while (!left.empty()) {
        const bool special = run.trusted && left.starts_with("<b>");
        ids.push_back(special ? 256 : static_cast<unsigned char>(left[0]));
        left.remove_prefix(special ? 3 : 1);
      }
    }
    return ids;
  }
  std::optional<TokenId> find(std::string_view) const override { return std::nullopt; }
  bool is_special(TokenId id) const override { return id == 256; }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const TokenId id : ids) text += id == 256 ? "<b>" : std::string(1, static_cast<char>(id));
    return text;
  }
  std::string token_bytes(TokenId id) const override { return decode({&id, 1}, false); }

 private:
  SpecialTokens special_;
};

inline PromptItem memory_item(MemoryTensors tensors) {
  return Memory(std::make_shared<MemoryContents>(MemoryContents{std::move(tensors), {}}));
}

inline Embeddings make_embeddings(at::Tensor values, const std::string& model = "model") {
  return Embeddings(
      std::make_shared<const EmbeddingsContents>(EmbeddingsContents{std::move(values), model}));
}

// Items as text: "keep", "?context", "!compress", "#size" of a memory, "@size" of embeddings.
inline std::string show(const PromptItem& item) {
  if (const auto* memory = std::get_if<Memory>(&item))
    return "#" + std::to_string(memory->num_tokens());
  if (const auto* embeddings = std::get_if<Embeddings>(&item))
    return "@" + std::to_string(embeddings->size());
  const auto& tokens = std::get<TokenSpan>(item);
  const char* mark = tokens.treatment == Prompt::Treatment::kContext    ? "?"
                     : tokens.treatment == Prompt::Treatment::kCompress ? "!"
                                                                        : "";
  return mark + ByteTokenizer().decode(tokens.ids, false);
}

inline std::string show(const std::vector<PromptItem>& items) {
  std::string text;
  for (const PromptItem& item : items) text += (text.empty() ? "" : "|") + show(item);
  return text;
}

}  // namespace precis
