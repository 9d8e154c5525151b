// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"

namespace precis {

// The tensors of a safetensors file in memory, to be changed and written back.
class TensorFile {
 public:
  struct Tensor {
    std::string name;
    std::string dtype;
    std::vector<int64_t> shape;
    std::string bytes;
  };

  explicit TensorFile(const std::filesystem::path& path) {
    const SafetensorsFile file = SafetensorsFile::open(path);
    metadata = file.metadata();
    for (const StoredTensor& stored : file.tensors()) {
      const auto* data = reinterpret_cast<const char*>(stored.bytes.data());
      tensors_.push_back(
          {stored.name, stored.dtype, stored.shape, std::string(data, stored.bytes.size())});
    }
  }

  Tensor& at(const std::string& name) {
    const auto found = std::ranges::find(tensors_, name, &Tensor::name);
    if (found == tensors_.end()) throw std::out_of_range("the test file has no tensor " + name);
    return *found;
  }
  void add(Tensor tensor) { tensors_.push_back(std::move(tensor)); }
  void remove(const std::string& name) {
    at(name);
    std::erase_if(tensors_, [&](const Tensor& tensor) { return tensor.name == name; });
  }

  void write(const std::filesystem::path& path) const {
    std::vector<StoredTensor> stored;
    for (const Tensor& tensor : tensors_)
      stored.push_back(
          {tensor.name, tensor.dtype, tensor.shape, std::as_bytes(std::span(tensor.bytes))});
    write_safetensors(path, stored, metadata);
  }

  std::map<std::string, std::string> metadata;

 private:
  std::vector<Tensor> tensors_;
};

// Opens a file, lets `damage` change its tensors and writes it back.
template <typename Damage>
void damage_tensors(const std::filesystem::path& path, const Damage& damage) {
  TensorFile file(path);
  damage(file);
  file.write(path);
}

}  // namespace precis
