// SPDX-License-Identifier: Apache-2.0
#include "compressors/compressor_files.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "base/hash.h"
#include "io/json_file.h"
#include "io/safetensors_weights.h"

namespace precis {
namespace {

constexpr int kFormatVersion = 1;

std::vector<at::Tensor> writable(std::span<const NamedTensor> tensors) {
  std::vector<at::Tensor> values;
  for (const NamedTensor& named : tensors)
    values.push_back(named.tensor.detach().cpu().contiguous());
  return values;
}

}  // namespace

Weights CompressorFiles::weights(c10::TensorOptions options) const {
  return Weights(safetensors_file_weights(directory / "compressor.safetensors"), options);
}

CompressorFiles open_compressor(const std::filesystem::path& directory) {
  std::error_code ignored;
  PRECIS_CHECK(std::filesystem::is_directory(directory, ignored),
               kNotFound,
               directory.string(),
               ": no such compressor directory");
  CompressorFiles files{directory, read_json(directory / "compressor.json")};
  PRECIS_CHECK(files.config.is_object() && files.config.contains("format") &&
                   files.config["format"] == kFormatVersion,
               kBadWeights,
               files.origin(),
               ": not a compressor of format ",
               kFormatVersion);
  PRECIS_CHECK(files.config.contains("method") && files.config["method"].is_string(),
               kBadWeights,
               files.origin(),
               ": method is missing");
  return files;
}

CompressorFactory loader(std::unique_ptr<Compressor> (*load)(const CompressorFiles&,
                                                             const Decoder&)) {
  return [load](const std::filesystem::path& directory, const Decoder& decoder) {
    return load(open_compressor(directory), decoder);
  };
}

void check_base(const CompressorFiles& files, const Decoder& decoder) {
  const auto base = files.config.find("base");
  PRECIS_CHECK(base != files.config.end() && base->is_object(),
               kBadWeights,
               files.origin(),
               ": base is missing");
  const nlohmann::json actual = describe_base(decoder);
  for (const char* key : {"hidden_size", "num_layers", "fingerprint"}) {
    const bool optional = key == std::string_view("fingerprint");
    if (optional && !base->contains(key)) continue;
    PRECIS_CHECK(base->value(key, nlohmann::json()) == actual[key],
                 kBadWeights,
                 files.origin(),
                 ": made for a model with ",
                 key,
                 " ",
                 base->value(key, nlohmann::json()).dump(),
                 ", this one has ",
                 actual[key].dump());
  }
}

nlohmann::json describe_base(const Decoder& decoder) {
  return {{"architecture", decoder.config().architecture},
          {"hidden_size", decoder.config().hidden_size},
          {"num_layers", decoder.config().num_layers},
          {"fingerprint", decoder.fingerprint()}};
}

void save_compressor(const std::filesystem::path& directory,
                     nlohmann::json config,
                     std::span<const NamedTensor> tensors) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  PRECIS_CHECK(
      !error, kInvalidArgument, directory.string(), ": cannot be created: ", error.message());
  const std::vector<at::Tensor> values = writable(tensors);
  std::vector<StoredTensor> stored;
  for (size_t i = 0; i < values.size(); ++i)
    stored.push_back(to_stored(tensors[i].name, values[i]));
  write_safetensors(directory / "compressor.safetensors", stored, {{"format", "pt"}});
  config["format"] = kFormatVersion;
  write_text_file(directory / "compressor.json", config.dump(2) + "\n");
}

std::string fingerprint_of(std::span<const NamedTensor> tensors) {
  Hasher hasher;
  const std::vector<at::Tensor> values = writable(tensors);
  for (size_t i = 0; i < values.size(); ++i) {
    const StoredTensor stored = to_stored(tensors[i].name, values[i]);
    hasher.add(stored.name);
    for (const int64_t size : stored.shape) hasher.add(size);
    hasher.add(stored.bytes);
  }
  return hasher.hex();
}

}  // namespace precis
