// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/text_stream.h"

#include <array>
#include <utility>

#include "tokenizers/utf8.h"

namespace precis {
namespace {

// Whether decode() strips the leading space of this token at the start of a text.
bool strips_space(const Tokenizer& tokenizer, TokenId id, const std::string& bytes) {
  if (!bytes.starts_with(' ')) return false;
  return !tokenizer.decode(std::array{id}, true).starts_with(repair_utf8(bytes));
}

}  // namespace

std::string TextStream::push(TokenId id) {
  std::string bytes = tokenizer_->token_bytes(id);
  if (bytes.empty() || tokenizer_->is_special(id)) return {};
  if (std::exchange(at_start_, false) && strips_space(*tokenizer_, id, bytes)) bytes.erase(0, 1);
  pending_ += bytes;
  std::string rest = pending_.substr(pending_.size() - unfinished_utf8(pending_));
  pending_.resize(pending_.size() - rest.size());
  return repair_utf8(std::exchange(pending_, std::move(rest)));
}

std::string TextStream::finish() { return repair_utf8(std::exchange(pending_, {})); }

}  // namespace precis
