// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/segment.h"
#include "precis/memory.h"
#include "prompt/tokenize.h"

namespace precis {

// A compressor and the model that it belongs to.
struct CompressionStage {
  const Compressor& compressor;
  const CompressorInfo& info;  // kept, since Compressor::info() hashes the weights
  const Decoder& decoder;
  PromptTokenizer tokenizer = {};  // for the prompts that memories are refined with
};

// Compresses segments in one call of the compressor: one memory with its provenance for each, in
// order. Throws as Compressor::compress(), kInternal for a compressor that breaks its contract,
// kBadWeights for memories that are not finite; with options.refine_seconds as
// MemoryRefiner.
std::vector<Memory> make_memories(const CompressionStage& stage,
                                  std::span<const Segment> segments,
                                  const CompressOptions& options);

// The segments of one prompt and how they are compressed.
struct CompressionJob {
  std::vector<Segment> segments = {};
  CompressOptions options = {};
};

struct CompressionResult {
  std::vector<Memory> memories = {};   // one for each segment of the job, in order
  std::exception_ptr error = nullptr;  // the precis::Error of a job that failed
  double ms = 0;                       // time until this job and those compressed with it were done
};

// Whether all options but the progress callbacks are equal.
bool have_equal_settings(const CompressOptions& a, const CompressOptions& b);

// One result for each job, in order. Jobs with equal options are compressed in one call of the
// compressor; each of their progress callbacks gets that call's progress, 0 to 1. If the
// call fails, its jobs are compressed one by one, so that only those that fail carry an error.
std::vector<CompressionResult> compress_jobs(const CompressionStage& stage,
                                             std::span<const CompressionJob> jobs);

// Throws kInvalidArgument unless a memory was made for this model.
void check_memory(const Memory& memory, const Decoder& decoder);

}  // namespace precis
