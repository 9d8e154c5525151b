// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "precis/extend/compressor.h"

namespace precis {

// Delegates to another compressor and passes the segments of each call of compress() to `record`
// first, whose exceptions fail the call.
class RecordingCompressor final : public Compressor {
 public:
  using Record = std::function<void(std::span<const Segment> segments)>;

  RecordingCompressor(std::unique_ptr<Compressor> compressor, Record record)
      : compressor_(std::move(compressor)), record_(std::move(record)) {}

  CompressorInfo info() const override { return compressor_->info(); }
  int64_t memory_size(int64_t num_tokens, const CompressOptions& options) const override {
    return compressor_->memory_size(num_tokens, options);
  }
  std::vector<MemoryTensors> compress(std::span<const Segment> segments,
                                      const CompressOptions& options) const override {
    record_(segments);
    return compressor_->compress(segments, options);
  }
  MemoryTemplate memory_template(MemoryUse use) const override {
    return compressor_->memory_template(use);
  }
  std::vector<NamedTensor> parameters() override { return compressor_->parameters(); }
  void save(const std::filesystem::path& directory) const override { compressor_->save(directory); }

 private:
  std::unique_ptr<Compressor> compressor_;
  Record record_;
};

}  // namespace precis
