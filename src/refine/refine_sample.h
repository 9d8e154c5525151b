// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "precis/token.h"

namespace precis {

// Ids behind the text on which the model with the memory is compared with the model that reads the
// text in full.
struct RefineSample {
  std::vector<TokenId> ids;  // all but the last are read; REQUIRES: two or more
  int64_t num_given = 0;     // leading ids that are not predicted; REQUIRES: fewer than ids
  bool in_chat = false;      // whether they stand in the chat's context
  double weight = 1;         // of each predicted id in the loss
  at::Tensor teacher = {};   // [num_predicted(), hidden] hidden states that predict from the text

  int64_t num_read() const { return std::ssize(ids) - 1; }
  // The first id is never predicted: directly after keys and values there is no hidden state to
  // predict it from.
  int64_t num_predicted() const { return std::ssize(ids) - std::max<int64_t>(1, num_given); }
};

}  // namespace precis
