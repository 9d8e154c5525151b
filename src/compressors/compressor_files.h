// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "precis/extend/compressor.h"
#include "precis/extend/compressor_method.h"
#include "precis/extend/decoder.h"
#include "precis/extend/weights.h"

namespace precis {

// A compressor's directory: compressor.json (what it is and which model it belongs to) and
// compressor.safetensors.
struct CompressorFiles {
  std::filesystem::path directory;
  nlohmann::json config;

  std::string origin() const { return (directory / "compressor.json").string(); }
  Weights weights(c10::TensorOptions options) const;
};

// Throws kNotFound or kBadWeights naming the file.
CompressorFiles open_compressor(const std::filesystem::path& directory);

// The factory of a method whose `load` takes the opened files.
CompressorFactory loader(std::unique_ptr<Compressor> (*load)(const CompressorFiles& files,
                                                             const Decoder& decoder));

// Throws kBadWeights unless the compressor was made for these weights: hidden size, layers and,
// where the file has one, fingerprint.
void check_base(const CompressorFiles& files, const Decoder& decoder);

// The description of the model that check_base() reads, for a compressor.json.
nlohmann::json describe_base(const Decoder& decoder);

// Writes both files; `config` gains the format version.
void save_compressor(const std::filesystem::path& directory,
                     nlohmann::json config,
                     std::span<const NamedTensor> tensors);

// A hash of names, shapes and values.
std::string fingerprint_of(std::span<const NamedTensor> tensors);

}  // namespace precis
