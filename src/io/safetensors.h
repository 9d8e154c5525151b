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

// What safetensors bytes hold.
struct SafetensorsContents {
  std::vector<StoredTensor> tensors;  // in the order of their offsets
  std::map<std::string, std::string> metadata;

  const StoredTensor* find(std::string_view name) const;  // nullptr if there is none
};

// Reads and fully validates safetensors bytes: header length, JSON, dtypes, shapes against byte
// ranges, ranges inside the bytes, no overlaps, no gaps, no duplicate names. The tensors point into
// `bytes`. Throws kBadWeights (damaged) or kUnsupported (a dtype that Precis does not know), naming
// `source` and the fault.
SafetensorsContents parse_safetensors(std::span<const std::byte> bytes, const std::string& source);

// A safetensors file, memory-mapped, read by parse_safetensors().
class SafetensorsFile {
 public:
  // Throws kNotFound, or as parse_safetensors(), naming the file.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::vector<StoredTensor>& tensors() const {
    return contents_.tensors;
  }  // in the order of their offsets
  const std::map<std::string, std::string>& metadata() const { return contents_.metadata; }
  // nullptr if there is none
  const StoredTensor* find(std::string_view name) const { return contents_.find(name); }
  const std::filesystem::path& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }

 private:
  explicit SafetensorsFile(MappedFile file);

  MappedFile file_;
  SafetensorsContents contents_;
};

// Writes tensors (those of large elements first, which aligns them all) and metadata, atomically.
// Throws kInvalidArgument if it cannot be written, or
// if a name, dtype or size does not fit the format.
void write_safetensors(const std::filesystem::path& path,
                       std::span<const StoredTensor> tensors,
                       const std::map<std::string, std::string>& metadata);

// The bytes of the file that write_safetensors() writes. Throws kInvalidArgument as it does.
std::string safetensors_bytes_of(std::span<const StoredTensor> tensors,
                                 const std::map<std::string, std::string>& metadata);

// Writes a text file atomically. Throws as write_safetensors.
void write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace precis
