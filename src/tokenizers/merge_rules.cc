// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/merge_rules.h"

#include "base/check.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

TokenId find_token(const Vocabulary& vocabulary, std::string_view name, const std::string& origin) {
  const auto id = vocabulary.find(name);
  PRECIS_CHECK(id, kBadWeights, origin, ": a merge names the unknown token ", in_quotes(name));
  return *id;
}

bool may_be_merged_to(TokenRole role) {
  return role == TokenRole::kText || role == TokenRole::kAdded;
}

}  // namespace

std::vector<MergeRule> resolve_merges(const Vocabulary& vocabulary,
                                      const std::vector<NamedMerge>& merges,
                                      const std::string& origin) {
  std::vector<MergeRule> rules;
  rules.reserve(merges.size());
  for (const auto& [left, right] : merges) {
    const TokenId merged = find_token(vocabulary, std::string(left).append(right), origin);
    if (!may_be_merged_to(vocabulary[merged].role)) continue;
    rules.push_back(
        {find_token(vocabulary, left, origin), find_token(vocabulary, right, origin), merged});
  }
  return rules;
}

NamedMerge parse_merge(std::string_view line, const std::string& origin) {
  // A token may itself begin with a space.
  const size_t space = line.find(' ', 1);
  PRECIS_CHECK(space != std::string_view::npos && space + 1 < line.size(),
               kBadWeights,
               origin,
               ": the merge ",
               in_quotes(line),
               " is not two tokens");
  return {line.substr(0, space), line.substr(space + 1)};
}

}  // namespace precis
