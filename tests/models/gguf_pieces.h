// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/file_fixture.h"
#include "io/gguf.h"
#include "io/json_file.h"

namespace precis {

// A GGUF file in pieces that tests change and write again.
class GgufPieces {
 public:
  struct Pair {
    std::string key;
    std::string value;  // type and bytes
  };
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dimensions;  // as the file has them: the innermost first
    uint32_t type = 0;
    std::string bytes;
  };

  explicit GgufPieces(const std::filesystem::path& path) : source_(read_file(path)) {
    place_ = 8;  // after magic number and version
    const auto num_tensors = number<uint64_t>(), num_pairs = number<uint64_t>();
    for (uint64_t i = 0; i < num_pairs; ++i) {
      std::string key = text();
      pairs.push_back({std::move(key), value()});
    }
    std::vector<uint64_t> offsets;
    for (uint64_t i = 0; i < num_tensors; ++i) {
      tensors.push_back(description());
      offsets.push_back(number<uint64_t>());
    }
    const size_t data = (place_ + kAlignment - 1) / kAlignment * kAlignment;
    for (uint64_t i = 0; i < num_tensors; ++i)
      tensors[i].bytes = source_.substr(data + offsets[i], size_of(tensors[i]));
  }

  Pair& pair(const std::string& key) { return named(pairs, key, &Pair::key); }
  Tensor& tensor(const std::string& name) { return named(tensors, name, &Tensor::name); }
  void remove_pair(const std::string& key) {
    pairs.erase(pairs.begin() + (&pair(key) - pairs.data()));
  }
  void remove_tensor(const std::string& name) {
    tensors.erase(tensors.begin() + (&tensor(name) - tensors.data()));
  }

  void write(const std::filesystem::path& path) const {
    Bytes bytes;
    bytes.raw("GGUF").number(uint32_t{3});
    bytes.number<uint64_t>(tensors.size()).number<uint64_t>(pairs.size());
    for (const Pair& one : pairs) bytes.text(one.key).raw(one.value);
    uint64_t offset = 0;
    for (const Tensor& one : tensors) {
      bytes.text(one.name).number(static_cast<uint32_t>(one.dimensions.size()));
      for (const uint64_t dimension : one.dimensions) bytes.number(dimension);
      bytes.number(one.type).number(offset);
      offset += (one.bytes.size() + kAlignment - 1) / kAlignment * kAlignment;
    }
    bytes.pad_to(kAlignment);
    for (const Tensor& one : tensors) bytes.raw(one.bytes).pad_to(kAlignment);
    std::ofstream(path, std::ios::binary) << bytes.str();
  }

  // Values of metadata.
  static std::string text_value(std::string_view text) {
    return Bytes().number(kString).text(text).str();
  }
  static std::string number_value(uint32_t number) {
    return Bytes().number(uint32_t{4}).number(number).str();
  }
  static std::string real_value(float number) {
    return Bytes().number(uint32_t{6}).number(number).str();
  }
  static std::string flag_value(bool flag) {
    return Bytes().number(kFlag).number(static_cast<uint8_t>(flag)).str();
  }
  static std::string flags_value(const std::vector<bool>& flags) {
    Bytes bytes;
    bytes.number(kArray).number(kFlag).number<uint64_t>(flags.size());
    for (const bool flag : flags) bytes.number(static_cast<uint8_t>(flag));
    return bytes.str();
  }

  std::vector<Pair> pairs;
  std::vector<Tensor> tensors;

 private:
  static constexpr size_t kAlignment = 32;
  static constexpr uint32_t kFlag = 7, kString = 8, kArray = 9;

  template <typename Number>
  Number number() {
    Number result;
    std::memcpy(&result, source_.data() + place_, sizeof(result));
    place_ += sizeof(result);
    return result;
  }

  std::string text() {
    const auto size = number<uint64_t>();
    place_ += size;
    return source_.substr(place_ - size, size);
  }

  std::string value() {
    const size_t start = place_;
    const auto type = number<uint32_t>();
    if (type == kArray) {
      const auto element = number<uint32_t>();
      const auto count = number<uint64_t>();
      for (uint64_t i = 0; i < count; ++i) skip(element);
    } else {
      skip(type);
    }
    return source_.substr(start, place_ - start);
  }

  void skip(uint32_t type) {
    constexpr std::array<size_t, 13> kSizes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kString) {
      text();
    } else {
      place_ += kSizes.at(type);
    }
  }

  Tensor description() {
    Tensor result;
    result.name = text();
    result.dimensions.resize(number<uint32_t>());
    for (uint64_t& dimension : result.dimensions) dimension = number<uint64_t>();
    result.type = number<uint32_t>();
    return result;
  }

  static size_t size_of(const Tensor& tensor) {
    int64_t elements = 1;
    for (const uint64_t dimension : tensor.dimensions) elements *= static_cast<int64_t>(dimension);
    return gguf_bytes(static_cast<GgufType>(tensor.type), elements);
  }

  template <typename Piece>
  static Piece& named(std::vector<Piece>& pieces,
                      const std::string& name,
                      std::string Piece::*member) {
    const auto found = std::ranges::find(pieces, name, member);
    if (found == pieces.end()) throw std::out_of_range("the test file has no " + name);
    return *found;
  }

  std::string source_;
  size_t place_ = 0;
};

}  // namespace precis
