// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "models/executors/cpu_team.h"
#include "ops/graph.h"
#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"

namespace precis::models {

// Steps of decoding on a GPU, over paged caches. On the default stream a step of a size that has
// been seen is one launch: it has been recorded over buffers of its own, which are filled anew each
// time. Calls from several threads at once each have theirs.
class PagedSteps {
 public:
  // local_frequencies: of layers with a window; undefined: the same.
  PagedSteps(ops::StepModel model, at::Tensor frequencies, at::Tensor local_frequencies);
  ~PagedSteps();

  const DecoderConfig& config() const { return model_.config; }

  // Whether rows of this dtype and device can be read this way.
  bool apply(const at::Tensor& x) const;

  // decode_step() of decoder_layer.h. The cache holds the new rows already; lengths: rows held
  // before them, of each sequence. -> [sequences, hidden]. Throws kInvalidArgument for a cache of
  // another dtype or device.
  at::Tensor run(const DecoderInput& input,
                 const KvCache& cache,
                 const std::vector<int64_t>& lengths) const;

 private:
  // Rounded up, so that few are recorded.
  struct Size {
    int64_t rows;
    int64_t pages;  // of a sequence
    c10::ScalarType dtype;

    bool operator==(const Size&) const = default;
  };
  // What a step reads, in memory that stays where it is, and the step itself, once recorded.
  struct Step {
    Size size;
    at::Tensor x;          // [rows, hidden]; those beyond the sequences are zeros
    at::Tensor positions;  // [rows] int64
    at::Tensor tables;     // int64: lengths [rows], then addresses of pages [rows, pages]
    std::optional<ops::Graph> graph = {};
  };

  bool is_recorded(const Size& size) const;
  std::unique_ptr<Step> take(const Size& size, const at::Tensor& x) const;
  void give_back(std::unique_ptr<Step> step) const;
  void fill(const Step& step,
            const DecoderInput& input,
            const KvCache& cache,
            const std::vector<int64_t>& lengths) const;
  at::Tensor tables(const Size& size,
                    const std::vector<int64_t>& sequences,
                    const KvCache& cache,
                    const std::vector<int64_t>& lengths) const;
  at::Tensor queue(const Step& step) const;

  ops::StepModel model_;
  at::Tensor frequencies_, local_frequencies_;
  at::Tensor padding_page_;  // where rows beyond the sequences are written
  ops::GraphMemory memory_;
  mutable std::mutex mutex_;                       // guards what follows
  mutable std::list<std::unique_ptr<Step>> idle_;  // the longest unused first
};

}  // namespace precis::models
