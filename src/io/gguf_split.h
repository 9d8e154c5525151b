// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace precis {

// The place of a file among the files of a split model.
struct GgufSplit {
  int64_t index = 0;  // from 0; 0 has the metadata
  int64_t count = 1;
  std::optional<int64_t> num_tensors;  // of all files together
};

// The other files of a split model, in order: named as the first one, which ends in
// "-00001-of-00003.gguf". Throws kInvalidArgument naming the file that is to be given if `file` is
// not the first one, kBadWeights if its name does not lead to the others, kNotFound if one of them
// is missing.
std::vector<std::filesystem::path> other_gguf_parts(const std::filesystem::path& file,
                                                    const GgufSplit& split);

}  // namespace precis
