// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>

#include "precis/extend/tokenizer.h"

namespace precis {

// Ids that end an answer: those in the model's files, and the end-of-turn tokens of common chat
// formats.
std::set<TokenId> stop_ids(const Tokenizer& tokenizer);

}  // namespace precis
