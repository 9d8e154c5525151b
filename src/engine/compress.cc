// SPDX-License-Identifier: Apache-2.0
#include "engine/compress.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "memory/memory_contents.h"

namespace precis {
namespace {

std::string hash_of(std::span<const TokenId> ids) {
  Hasher hasher;
  hasher.add(std::as_bytes(ids));
  return hasher.hex();
}

bool to_compress(const PromptPart& part) { return part.treatment == Prompt::Treatment::kCompress; }

bool is_cached(const PromptPart& part) {
  return part.memory && std::holds_alternative<CachedTokens>(part.memory->contents().tensors);
}

// Before the work is done, rather than when its result finds no place.
void check_places(const std::vector<PromptPart>& parts, const CompressorInfo& info) {
  if (!info.cached) return;
  const auto is_kept = [](const PromptPart& part) { return !part.memory && !to_compress(part); };
  const auto becomes_cached = [](const PromptPart& part) {
    return to_compress(part) || is_cached(part);
  };
  const auto first = std::ranges::find_if_not(parts, is_kept);
  const auto behind = std::find_if_not(first, parts.end(), becomes_cached);
  PRECIS_CHECK(
      std::none_of(behind, parts.end(), to_compress),
      kInvalidArgument,
      "prompt: ",
      info.method,
      " makes cached memories, and these have to stand before everything but kept text and "
      "each other; text in several places, as in the turns of a chat, needs a compressor "
      "that makes rows");
}

// In pieces: what is asked of a large memory at once is larger than the memory.
at::Tensor are_finite(const at::Tensor& rows) {
  if (rows.dim() == 0) return rows.isfinite();
  constexpr int64_t kNumbers = int64_t{1} << 22;
  const int64_t one = rows.numel() / std::max<int64_t>(1, rows.size(0));
  std::vector<at::Tensor> finite;
  for (const at::Tensor& piece :
       rows.split(std::max<int64_t>(1, kNumbers / std::max<int64_t>(1, one)), 0))
    finite.push_back(piece.isfinite().all());
  return at::stack(finite).all();
}

// Compressors may come from outside the library, and weights from anywhere: neither is to make a
// memory that no model can read.
void check_memories(std::span<const MemoryTensors> memories,
                    int64_t num_segments,
                    const CompressionStage& stage) {
  PRECIS_CHECK(std::ssize(memories) == num_segments,
               kInternal,
               stage.info.method,
               ": made ",
               memories.size(),
               " memories of ",
               num_segments,
               " segments");
  std::vector<at::Tensor> finite;
  for (const MemoryTensors& memory : memories) {
    const auto* soft = std::get_if<SoftTokens>(&memory);
    const auto* cached = std::get_if<CachedTokens>(&memory);
    for (const at::Tensor& rows : soft != nullptr ? std::vector{soft->embeddings}
                                                  : std::vector{cached->keys, cached->values})
      finite.push_back(are_finite(rows));
    PRECIS_CHECK(
        soft == nullptr || (soft->embeddings.dim() == 2 &&
                            soft->embeddings.size(1) == stage.decoder.config().hidden_size),
        kInternal,
        stage.info.method,
        ": the memory is no matrix of the model's hidden size");
  }
  // A GPU is waited for once.
  PRECIS_CHECK(finite.empty() || at::stack(finite).all().item<bool>(),
               kBadWeights,
               stage.info.method,
               ": the memory is not finite; the compressor's weights are damaged");
}

// The kept tokens that a prompt begins with. Context is no part of it, compressed or not: SelfCP's
// passes read the instruction and their own segment.
std::shared_ptr<const SharedPrefix> prefix_of(const std::vector<PromptPart>& parts) {
  std::vector<TokenId> tokens;
  for (const PromptPart& part : parts) {
    if (part.memory || part.treatment != Prompt::Treatment::kKeep) break;
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
  }
  return tokens.empty() ? nullptr : std::make_shared<SharedPrefix>(std::move(tokens));
}

}  // namespace

std::vector<Memory> make_memories(const CompressionStage& stage,
                                  std::span<const Segment> segments,
                                  const CompressOptions& options) {
  const CompressorInfo& info = stage.info;
  std::vector<MemoryTensors> tensors = stage.compressor.compress(segments, options);
  check_memories(tensors, std::ssize(segments), stage);
  std::vector<Memory> memories;
  for (size_t i = 0; i < segments.size(); ++i) {
    Provenance provenance{info.method,
                          stage.decoder.fingerprint(),
                          info.fingerprint,
                          hash_of(segments[i].tokens),
                          std::ssize(segments[i].tokens),
                          stage.decoder.config().name};
    memories.emplace_back(
        std::make_shared<MemoryContents>(MemoryContents{std::move(tensors[i]), provenance}));
  }
  return memories;
}

CompressedPrompt compress(std::vector<PromptPart> parts,
                          const CompressionStage& stage,
                          const CompressOptions& options) {
  if (std::none_of(parts.begin(), parts.end(), to_compress)) return {std::move(parts), nullptr, 0};
  const CompressorInfo& info = stage.info;
  check_places(parts, info);
  CompressedPrompt result;
  if (info.reads_prefix) result.prefix = prefix_of(parts);
  std::vector<Segment> segments;
  for (const PromptPart& part : parts) {
    if (!to_compress(part)) continue;
    segments.push_back({part.tokens, result.prefix});
    result.compressed_tokens += part.num_tokens();
  }
  const std::vector<Memory> memories = make_memories(stage, segments, options);
  size_t next = 0;
  for (PromptPart& part : parts) {
    if (to_compress(part)) part = {{}, Prompt::Treatment::kKeep, memories[next++]};
  }
  result.parts = std::move(parts);
  return result;
}

void check_memory(const Memory& memory, const Decoder& decoder) {
  const Provenance& from = memory.provenance();
  PRECIS_CHECK(from.model_fingerprint == decoder.fingerprint(),
               kInvalidArgument,
               "memory: made for model ",
               model_in_words(from.model_fingerprint, from.model_name),
               ", this one is ",
               model_in_words(decoder.fingerprint(), decoder.config().name));
}

}  // namespace precis
