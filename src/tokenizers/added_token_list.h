// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tokenizers/added_tokens.h"
#include "tokenizers/vocabulary.h"

namespace precis {

// An added token as tokenizer.json and tokenizer_config.json describe it: {"content": "<think>",
// "lstrip": false, ...}. Throws nlohmann::json::exception.
AddedToken read_added_token(TokenId id, const nlohmann::json& entry);

// The same tokens, but those whose name is in the vocabulary get the vocabulary's id, which may
// differ from the one in their own file.
std::vector<AddedToken> with_known_ids(std::vector<AddedToken> added,
                                       const std::vector<Token>& tokens);

// Adds `more` to a list. Of two tokens with the same id the later one is kept, and is special if
// either is.
void merge_added_tokens(std::vector<AddedToken>& tokens, const std::vector<AddedToken>& more);

// Gives added tokens their ids in a vocabulary, which grows as needed. Throws kBadWeights, naming
// `origin`, if an id is out of range or belongs to a token of another name.
void place_added_tokens(const std::vector<AddedToken>& added,
                        std::vector<Token>& tokens,
                        const std::string& origin);

// Throws kBadWeights, naming `origin`, for an id that no vocabulary can have.
void check_token_id(TokenId id, const std::string& origin);

}  // namespace precis
