// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "engine/compress.h"
#include "precis/extend/memory_tensors.h"
#include "refine/refine_options.h"
#include "refine/refine_prompts.h"

namespace precis {

// Refines the memories of one call of a compressor, each for options.refine_seconds; does nothing
// if these are 0. Borrows what it is given.
class MemoryRefiner {
 public:
  // Throws kInvalidArgument for seconds that are negative or not finite, and for a segment that
  // check_refinable() refuses.
  MemoryRefiner(const CompressionStage& stage,
                std::span<const Segment> segments,
                const CompressOptions& options);

  // The options for the compressor, whose progress is the first part of the whole.
  CompressOptions compress_options() const;
  // memories: one for each segment. Throws as refine().
  void refine(std::span<MemoryTensors> memories) const;

 private:
  bool is_on() const { return options_.refine_seconds > 0; }

  const CompressionStage& stage_;
  std::span<const Segment> segments_;
  const CompressOptions& options_;
  RefineOptions refining_;
  RefinePrompts prompts_;
};

}  // namespace precis
