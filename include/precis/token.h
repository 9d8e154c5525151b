// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis {

// A token's index in the vocabulary of its model.
using TokenId = int64_t;

}  // namespace precis
