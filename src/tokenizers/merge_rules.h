// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/merge_table.h"
#include "tokenizers/vocabulary.h"

namespace precis {

using NamedMerge = std::pair<std::string_view, std::string_view>;

// The merges of a file as token ids. Merges that would produce a special token from plain text are
// left out. Throws kBadWeights, naming `origin`, if a merge names an unknown token.
std::vector<MergeRule> resolve_merges(const Vocabulary& vocabulary,
                                      const std::vector<NamedMerge>& merges,
                                      const std::string& origin);

// Parses "left right", a line of a list of merges. Throws as resolve_merges.
NamedMerge parse_merge(std::string_view line, const std::string& origin);

}  // namespace precis
