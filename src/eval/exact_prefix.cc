// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "eval/metrics.h"

namespace precis {

double exact_prefix_share(std::span<const TokenId> hypothesis, std::span<const TokenId> reference) {
  PRECIS_CHECK(!reference.empty(), kInvalidArgument, "exact prefix: the reference is empty");
  const auto difference = std::ranges::mismatch(reference, hypothesis).in1;
  return static_cast<double>(difference - reference.begin()) /
         static_cast<double>(reference.size());
}

}  // namespace precis
