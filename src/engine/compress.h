// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/segment.h"
#include "precis/memory.h"
#include "prompt/prompt_part.h"

namespace precis {

// What a memory is made with: the compressor and the model that it belongs to.
struct CompressionStage {
  const Compressor& compressor;
  const CompressorInfo& info;  // of the compressor: asking hashes its weights, so that it is kept
  const Decoder& decoder;
};

// Segments as memories with their provenance, one each, in order.
std::vector<Memory> make_memories(const CompressionStage& stage,
                                  std::span<const Segment> segments,
                                  const CompressOptions& options);

struct CompressedPrompt {
  std::vector<PromptPart> parts;  // kept text and memories
  std::shared_ptr<const SharedPrefix>
      prefix;  // read by the compressor and by generation; null: none
  int64_t compressed_tokens = 0;
};

// The second stage: every part to be compressed becomes a memory. Where the compressor reads what
// stands before the first such part, that is computed once for it and for generation.
CompressedPrompt compress(std::vector<PromptPart> parts,
                          const CompressionStage& stage,
                          const CompressOptions& options);

// Throws kInvalidArgument unless a memory was made for this model.
void check_memory(const Memory& memory, const Decoder& decoder);

}  // namespace precis
