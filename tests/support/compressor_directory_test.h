// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "precis/extend/compressor.h"
#include "support/damage.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "support/tensor_file.h"

namespace precis {

// A compressor's directory, damaged in one place at a time. Every refuse_ function damages a file,
// expects load() to fail with `message` and the file's name in the error, and restores the file.
template <typename Fixture = testing::Test>
class CompressorDirectoryTest : public Fixture {
 protected:
  // Reads `directory`.
  virtual std::unique_ptr<Compressor> load() const = 0;

  void save(const Compressor& compressor) {
    compressor.save(directory.path());
    good = read_json(description);
  }

  // Expects the error only; the caller damages and restores.
  void refuse(const std::filesystem::path& file,
              const std::string& message,
              ErrorKind kind = ErrorKind::kBadWeights) const {
    expect_error(kind, message, [&] { load(); });
    expect_error(kind, file.string(), [&] { load(); });
  }

  // compressor.json replaced by `text`.
  void refuse_text(const std::string& text, const std::string& message) const {
    refuse_description(text, description, message, ErrorKind::kBadWeights);
  }

  // compressor.json with one value changed.
  void refuse_value(const std::string& key,
                    const nlohmann::json& value,
                    const std::string& message,
                    ErrorKind kind = ErrorKind::kBadWeights) const {
    refuse_description(with(key, value), description, message, kind);
  }

  // The same for a valid value that the tensors do not fit: the error names their file.
  void refuse_tensors_with(const std::string& key,
                           const nlohmann::json& value,
                           const std::string& message) const {
    refuse_description(with(key, value), tensors, message, ErrorKind::kBadWeights);
  }

  // compressor.safetensors after `damage`, which is given a TensorFile&.
  template <typename Damage>
  void refuse_tensors(const Damage& damage, const std::string& message) const {
    const TensorFile whole(tensors);
    damage_tensors(tensors, damage);
    refuse(tensors, message);
    whole.write(tensors);
  }

  TemporaryDirectory directory;
  const std::filesystem::path description = directory / "compressor.json";
  const std::filesystem::path tensors = directory / "compressor.safetensors";
  nlohmann::json good;  // compressor.json without damage

 private:
  std::string with(const std::string& key, const nlohmann::json& value) const {
    nlohmann::json changed = good;
    changed[key] = value;
    return changed.dump();
  }

  void refuse_description(const std::string& text,
                          const std::filesystem::path& file,
                          const std::string& message,
                          ErrorKind kind) const {
    overwrite(description, text);
    refuse(file, message, kind);
    overwrite(description, good.dump());
  }
};

}  // namespace precis
