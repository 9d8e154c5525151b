// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace precis {

// Index of a file among the files of a split model.
struct GgufSplit {
  int64_t index = 0;  // from 0; file 0 has the metadata
  int64_t count = 1;
  std::optional<int64_t> num_tensors;  // of all files together
};

// The other files of a split model, in order, found by the name of the first, which ends in
// "-00001-of-00003.gguf". Throws kInvalidArgument, naming the first file, if `file` is another one,
// kBadWeights if its name does not have that form, kNotFound if a file is missing.
std::vector<std::filesystem::path> other_gguf_parts(const std::filesystem::path& file,
                                                    const GgufSplit& split);

}  // namespace precis
