// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis {

// Position of memory token `index` of `count` that are spread evenly over a text of `length`
// tokens: the middle of its equal share of the text (Zhao et al., 2024, arXiv 2409.14364).
constexpr int64_t spread_position(int64_t index, int64_t count, int64_t length) {
  return (2 * index + 1) * length / (2 * count);
}

}  // namespace precis
