// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/mapped_file.h"

namespace precis {

// A tensor as it is stored in a file: row-major, little-endian.
struct StoredTensor {
  std::string name;
  std::string dtype;  // as safetensors spells it: "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // may be unaligned: the format does not guarantee alignment
};

// A safetensors file, memory-mapped and fully validated when opened: header length, JSON, dtypes,
// shapes against byte ranges, ranges inside the file, no overlaps, no gaps, no duplicate names.
class SafetensorsFile {
 public:
  // Throws kNotFound, kBadWeights (damaged) or kUnsupported (a dtype that Precis does not know),
  // naming the file and the fault.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::vector<StoredTensor>& tensors() const {
    return tensors_;
  }  // in the order of their offsets
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const StoredTensor* find(std::string_view name) const;  // nullptr if there is none
  const std::filesystem::path& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }

 private:
  explicit SafetensorsFile(MappedFile file);

  MappedFile file_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Writes tensors (those of large elements first, which aligns them all) and metadata, atomically.
// Throws kInvalidArgument if it cannot be written, or
// if a name, dtype or size does not fit the format.
void write_safetensors(const std::filesystem::path& path,
                       std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata);

// Writes a text file atomically. Throws as write_safetensors.
void write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace precis
