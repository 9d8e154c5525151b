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

// A compressor's directory that is damaged in one place at a time. Every refuse_ function does its
// damage, expects load() to fail with `part` and the damaged file's name in the message, and
// restores the file.
template <typename Fixture = testing::Test>
class CompressorDirectoryTest : public Fixture {
 protected:
  // Reads `directory`.
  virtual std::unique_ptr<Compressor> load() const = 0;

  void save(const Compressor& compressor) {
    compressor.save(directory.path());
    good = read_json(description);
  }

  // For damage that was done by hand.
  void refuse(const std::filesystem::path& file,
              const std::string& part,
              ErrorKind kind = ErrorKind::kBadWeights) const {
    expect_error(kind, part, [&] { load(); });
    expect_error(kind, file.string(), [&] { load(); });
  }

  // compressor.json in other words.
  void refuse_text(const std::string& text, const std::string& part) const {
    refuse_description(text, description, part, ErrorKind::kBadWeights);
  }

  // compressor.json with one value changed.
  void refuse_value(const std::string& key,
                    const nlohmann::json& value,
                    const std::string& part,
                    ErrorKind kind = ErrorKind::kBadWeights) const {
    refuse_description(with(key, value), description, part, kind);
  }

  // The same, where the value is a possible one: it is the tensors that do not fit it.
  void refuse_tensors_with(const std::string& key,
                           const nlohmann::json& value,
                           const std::string& part) const {
    refuse_description(with(key, value), tensors, part, ErrorKind::kBadWeights);
  }

  // compressor.safetensors after `damage`, which is given a TensorFile&.
  template <typename Damage>
  void refuse_tensors(const Damage& damage, const std::string& part) const {
    const TensorFile whole(tensors);
    damage_tensors(tensors, damage);
    refuse(tensors, part);
    whole.write(tensors);
  }

  TemporaryDirectory directory;
  const std::filesystem::path description = directory / "compressor.json";
  const std::filesystem::path tensors = directory / "compressor.safetensors";
  nlohmann::json good;  // what the description holds without damage

 private:
  std::string with(const std::string& key, const nlohmann::json& value) const {
    nlohmann::json changed = good;
    changed[key] = value;
    return changed.dump();
  }

  void refuse_description(const std::string& text,
                          const std::filesystem::path& file,
                          const std::string& part,
                          ErrorKind kind) const {
    overwrite(description, text);
    refuse(file, part, kind);
    overwrite(description, good.dump());
  }
};

}  // namespace precis
