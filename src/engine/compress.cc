// SPDX-License-Identifier: Apache-2.0
#include "engine/compress.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "engine/refine_memories.h"
#include "io/translate_errors.h"
#include "memory/memory_contents.h"

namespace precis {
namespace {

std::string hash_of(std::span<const TokenId> ids) {
  Hasher hasher;
  hasher.add(std::as_bytes(ids));
  return hasher.hex();
}

// Whether all elements are finite, as a tensor. Works in chunks along the first dimension, since
// isfinite() of a whole memory allocates more than the memory takes.
at::Tensor are_finite(const at::Tensor& tensor) {
  if (tensor.dim() == 0) return tensor.isfinite();
  constexpr int64_t kElementsPerChunk = int64_t{1} << 22;
  const int64_t stride =
      std::max<int64_t>(1, tensor.numel() / std::max<int64_t>(1, tensor.size(0)));
  std::vector<at::Tensor> finite;
  for (const at::Tensor& chunk : tensor.split(std::max<int64_t>(1, kElementsPerChunk / stride), 0))
    finite.push_back(chunk.isfinite().all());
  return at::stack(finite).all();
}

// Checks what a compressor returns: it may come from outside the library, and its weights may be
// damaged.
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
    for (const at::Tensor& tensor : soft != nullptr ? std::vector{soft->embeddings}
                                                    : std::vector{cached->keys, cached->values})
      finite.push_back(are_finite(tensor));
    PRECIS_CHECK(
        soft == nullptr || (soft->embeddings.dim() == 2 &&
                            soft->embeddings.size(1) == stage.decoder.config().hidden_size),
        kInternal,
        stage.info.method,
        ": the memory is not a matrix [n, hidden_size] of the model");
  }
  // One synchronisation with a GPU for all.
  PRECIS_CHECK(finite.empty() || at::stack(finite).all().item<bool>(),
               kBadWeights,
               stage.info.method,
               ": the memory is not finite; the compressor's weights are damaged");
}

}  // namespace

std::vector<Memory> make_memories(const CompressionStage& stage,
                                  std::span<const Segment> segments,
                                  const CompressOptions& options) {
  const CompressorInfo& info = stage.info;
  const MemoryRefiner refiner(stage, segments, options);
  std::vector<MemoryTensors> tensors =
      stage.compressor.compress(segments, refiner.compress_options());
  check_memories(tensors, std::ssize(segments), stage);
  refiner.refine(tensors);
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

bool have_equal_settings(const CompressOptions& a, const CompressOptions& b) {
  const auto settings = [](const CompressOptions& options) {
    return std::tie(options.ratio,
                    options.chaining,
                    options.segment,
                    options.positions,
                    options.refine_seconds);
  };
  return settings(a) == settings(b);
}

namespace {

using Group = std::vector<size_t>;  // indices of jobs

// Jobs with equal options, without those that have nothing to compress.
std::vector<Group> groups_of(std::span<const CompressionJob> jobs) {
  std::vector<Group> groups;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].segments.empty()) continue;
    const auto equal = std::ranges::find_if(groups, [&](const Group& group) {
      return have_equal_settings(jobs[group.front()].options, jobs[i].options);
    });
    (equal != groups.end() ? *equal : groups.emplace_back()).push_back(i);
  }
  return groups;
}

// Reports to every job of a group. Jobs whose callback returns false are added to `cancelled`.
CompressProgress progress_of(std::span<const CompressionJob> jobs,
                             const Group& group,
                             Group& cancelled) {
  const auto has_callback = [jobs](size_t i) { return bool{jobs[i].options.progress}; };
  if (std::ranges::none_of(group, has_callback)) return {};
  return [=, &cancelled](double done) {
    std::ranges::copy_if(group, std::back_inserter(cancelled), [&](size_t i) {
      return has_callback(i) && !jobs[i].options.progress(done);
    });
    return cancelled.empty();
  };
}

std::vector<Memory> compress_together(const CompressionStage& stage,
                                      std::span<const CompressionJob> jobs,
                                      const Group& group,
                                      Group& cancelled) {
  std::vector<Segment> segments;
  for (const size_t i : group)
    segments.insert(segments.end(), jobs[i].segments.begin(), jobs[i].segments.end());
  CompressOptions options = jobs[group.front()].options;
  options.progress = progress_of(jobs, group, cancelled);
  return translate_errors([&] { return make_memories(stage, segments, options); });
}

// Fills the results of a group.
void compress_group(const CompressionStage& stage,
                    std::span<const CompressionJob> jobs,
                    const Group& group,
                    std::vector<CompressionResult>& results) {
  Group cancelled, again;
  try {
    const std::vector<Memory> memories = compress_together(stage, jobs, group, cancelled);
    auto next = memories.begin();
    for (const size_t i : group) {
      const auto first = std::exchange(next, next + std::ssize(jobs[i].segments));
      results[i].memories.assign(first, next);
    }
  } catch (const Error&) {
    for (const size_t i : group) {
      if (group.size() == 1 || std::ranges::count(cancelled, i) > 0)
        results[i].error = std::current_exception();
      else
        again.push_back(i);
    }
  }
  for (const size_t i : again) compress_group(stage, jobs, {i}, results);
}

}  // namespace

std::vector<CompressionResult> compress_jobs(const CompressionStage& stage,
                                             std::span<const CompressionJob> jobs) {
  std::vector<CompressionResult> results(jobs.size());
  for (const Group& group : groups_of(jobs)) {
    const auto start = std::chrono::steady_clock::now();
    compress_group(stage, jobs, group, results);
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    for (const size_t i : group) results[i].ms = elapsed.count();
  }
  return results;
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
