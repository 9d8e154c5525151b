// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "ops/decode_step.h"
#include "ops/graph.h"
#include "precis/decoder.h"
#include "precis/kv_cache.h"

namespace precis::nn {

// Steps of decoding on a GPU, over paged caches. A step of a size that has been seen is one launch:
// it has been recorded over buffers of its own, which are filled anew each time. Calls from several
// threads at once each have theirs.
class PagedSteps {
 public:
  // local_frequencies: of layers with a window; undefined: the same.
  PagedSteps(ops::StepModel model, at::Tensor frequencies, at::Tensor local_frequencies);
  ~PagedSteps();

  const DecoderConfig& config() const { return model_.config; }

  // Whether rows of this dtype and device can be read this way.
  bool apply(const at::Tensor& x) const;

  // decode_step() of decoder_layer.h. The cache holds the new rows already; lengths: rows held
  // before them, of each sequence. -> [sequences, hidden]
  at::Tensor run(const DecoderInput& input,
                 const KvCache& cache,
                 const std::vector<int64_t>& lengths) const;

 private:
  // Recordings are of one size, on one stream.
  struct Size {
    int64_t rows;
    int64_t pages;  // of a sequence, a power of two
    void* stream;

    bool operator==(const Size&) const = default;
  };
  struct Recording {
    Size size;
    at::Tensor x;          // [rows, hidden]
    at::Tensor positions;  // [rows] int64
    at::Tensor tables;     // int64: lengths [rows], then addresses of pages [rows, pages]
    std::optional<ops::Graph> graph;
  };

  std::unique_ptr<Recording> take(const Size& size, const at::Tensor& x) const;
  void give_back(std::unique_ptr<Recording> recording) const;
  at::Tensor queue(const Recording& recording) const;

  ops::StepModel model_;
  at::Tensor frequencies_, local_frequencies_;
  mutable std::mutex mutex_;                            // guards what follows
  mutable std::list<std::unique_ptr<Recording>> idle_;  // the longest unused first
};

}  // namespace precis::nn
