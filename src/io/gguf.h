// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/gguf_split.h"
#include "io/mapped_file.h"

namespace precis {

// Storage types of GGUF tensors that Precis reads, with the numbers of the file format.
enum class GgufType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

struct GgufTensor {
  std::string name;
  GgufType type;
  // Outermost dimension first, as at::Tensor has it (the file stores the reverse); no size is 0.
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  int64_t num_elements() const;
};

// A metadata value, widened to the largest type of its kind. Strings point into the mapped file.
// Arrays of booleans are stored as integers, 0 or 1.
using GgufValue = std::variant<uint64_t,
                               int64_t,
                               double,
                               bool,
                               std::string_view,
                               std::vector<uint64_t>,
                               std::vector<int64_t>,
                               std::vector<double>,
                               std::vector<std::string_view>>;

// A GGUF file (versions 2 and 3, little-endian), memory-mapped and fully validated when opened. For
// a model that is split over several files: the first file, with the tensors of all of them.
class GgufFile {
 public:
  // Opens the other files of a split model too (names as in io/gguf_split.h). Throws kNotFound,
  // kBadWeights (damaged), kInvalidArgument (another file of a split model than the first) or
  // kUnsupported (a tensor type outside GgufType), naming the file.
  static GgufFile open(const std::filesystem::path& path);

  // Values by key; nullopt if the key is absent. Throws kBadWeights if the value has another type
  // or does not fit into the result. Strings are not checked to be UTF-8.
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // integers too
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(
      std::string_view key) const;  // a single integer is a list of one
  std::optional<std::vector<double>> numbers(std::string_view key) const;

  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(std::string_view name) const;  // nullptr if there is none
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  explicit GgufFile(MappedFile file);

  GgufSplit split() const;
  void add_file(const std::filesystem::path& path, const GgufSplit& expected);
  void check_all_files(const GgufSplit& split) const;

  template <typename Convert>
  auto convert(std::string_view key, std::string_view expected, Convert to) const
      -> decltype(to(GgufValue()));

  MappedFile file_;
  std::vector<MappedFile> other_files_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
};

// Bytes that `num_elements` take in this type. Quantised types hold blocks of 32 or 256 elements,
// and rows are whole blocks.
size_t gguf_bytes(GgufType type, int64_t num_elements);
std::string_view gguf_type_name(GgufType type);

// Dequantises whole blocks to float32: `out` has num_elements floats, `bytes` has gguf_bytes(type,
// out.size()).
void gguf_dequantize(GgufType type, std::span<const std::byte> bytes, std::span<float> out);

}  // namespace precis
