// SPDX-License-Identifier: Apache-2.0
// A compressor from outside the library: each window of tokens becomes the mean of the model's
// final hidden states. It is untrained and only shows what a compressor has to implement.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "precis/error.h"
#include "precis/extend/compressor.h"

class MeanPooling final : public precis::Compressor {
 public:
  MeanPooling(const precis::Decoder& decoder, int64_t window)
      : decoder_(decoder), window_(window) {}

  precis::CompressorInfo info() const override {
    precis::CompressorInfo info;
    info.method = "mean_pooling";
    info.ratio = static_cast<double>(window_);
    info.max_segment = decoder_.config().context_length;
    info.divides = false;
    info.fingerprint = "mean_pooling_" + std::to_string(window_);
    return info;
  }

  int64_t memory_size(int64_t num_tokens, const precis::CompressOptions& options) const override {
    require(num_tokens >= 1, "an empty segment");
    require(num_tokens <= decoder_.config().context_length, "a segment longer than the window");
    require(!options.ratio, "the ratio is fixed");
    require(!options.segment, "segments are not divided");
    require(options.chaining == precis::Chaining::kIndependent, "there is no chaining");
    return (num_tokens + window_ - 1) / window_;
  }

  std::vector<precis::MemoryTensors> compress(
      std::span<const precis::Segment> segments,
      const precis::CompressOptions& options) const override {
    std::vector<precis::MemoryTensors> memories;
    for (const precis::Segment& segment : segments) {
      memory_size(std::ssize(segment.tokens), options);
      memories.push_back(precis::SoftTokens{pooled(segment.tokens)});
      precis::report_progress(
          options.progress,
          static_cast<double>(memories.size()) / static_cast<double>(segments.size()));
    }
    return memories;
  }

  precis::MemoryTemplate memory_template(precis::MemoryUse) const override { return {}; }
  std::vector<precis::NamedTensor> parameters() override { return {}; }
  void save(const std::filesystem::path& directory) const override {
    std::filesystem::create_directories(directory);
    const nlohmann::json config = {{"format", 1},
                                   {"method", "mean_pooling"},
                                   {"window", window_},
                                   {"base",
                                    {{"hidden_size", decoder_.config().hidden_size},
                                     {"num_layers", decoder_.config().num_layers},
                                     {"fingerprint", decoder_.fingerprint()}}}};
    std::ofstream file(directory / "compressor.json");
    file << config << std::flush;
    require(file.good(), (directory / "compressor.json").string() + " cannot be written");
  }

 private:
  static void require(bool good, const std::string& what) {
    if (!good) throw precis::Error(precis::ErrorKind::kInvalidArgument, "mean_pooling: " + what);
  }

  at::Tensor pooled(const std::vector<precis::TokenId>& tokens) const {
    const int64_t n = std::ssize(tokens);
    for (const precis::TokenId id : tokens)
      require(id >= 0 && id < decoder_.config().vocab_size,
              "id " + std::to_string(id) + " is outside the vocabulary");
    const at::Tensor ids = at::tensor(tokens, at::kLong).to(decoder_.options().device());
    precis::KvCache cache(decoder_.config().kv_shape(), decoder_.options());
    const at::Tensor hidden =
        decoder_.forward({decoder_.embed(ids), at::arange(n, ids.options()), {0, n}, {0}}, cache);
    std::vector<at::Tensor> means;
    for (int64_t first = 0; first < n; first += window_)
      means.push_back(hidden.narrow(0, first, std::min(window_, n - first)).mean(0));
    return at::stack(means);
  }

  const precis::Decoder& decoder_;
  int64_t window_;
};

// Precis calls this for a directory whose compressor.json says "mean_pooling".
inline std::unique_ptr<precis::Compressor> load_mean_pooling(const std::filesystem::path& directory,
                                                             const precis::Decoder& decoder) {
  const std::filesystem::path file = directory / "compressor.json";
  const auto value = nlohmann::json::parse(std::ifstream(file)).value("window", nlohmann::json(4));
  const int64_t window = value.is_number_integer() ? value.get<int64_t>() : 0;
  if (window < 1 || window > decoder.config().context_length)
    throw precis::Error(precis::ErrorKind::kBadWeights,
                        file.string() + ": window is " + value.dump() + ", expected 1 to " +
                            std::to_string(decoder.config().context_length));
  return std::make_unique<MeanPooling>(decoder, window);
}
