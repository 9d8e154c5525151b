// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace precis {

// Bytes begin .. end - 1 of a text.
struct ByteRange {
  size_t begin;
  size_t end;
};

}  // namespace precis
