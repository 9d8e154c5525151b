// SPDX-License-Identifier: Apache-2.0
#include "engine/refine_memories.h"

#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/refine_prompts.h"
#include "refine/refine.h"

namespace precis {
namespace {

constexpr double kCompressShare = 0.1;  // of the progress

void check_seconds(double seconds) {
  PRECIS_CHECK(std::isfinite(seconds) && seconds >= 0,
               kInvalidArgument,
               "compress options: refine_seconds is ",
               seconds,
               ", expected 0 (no refining) or a number of seconds above it");
}

// The part of a whole's progress from `first` to `last`. Borrows the whole.
CompressProgress part_of(const CompressProgress& whole, double first, double last) {
  if (!whole) return {};
  return [&whole, first, last](double done) {
    return whole(done >= 1 ? last : first + (last - first) * done);
  };
}

void log_result(const RefineResult& result) {
  log(LogLevel::kInfo,
      concat("refine: ",
             result.steps,
             " steps on ",
             result.num_train,
             " samples; divergence from the full text on ",
             result.num_held_out,
             " held-out samples, in nats a token: ",
             result.given_loss,
             " before, ",
             result.loss,
             " after"));
}

}  // namespace

MemoryRefiner::MemoryRefiner(const CompressionStage& stage,
                             std::span<const Segment> segments,
                             const CompressOptions& options)
    : stage_(stage), segments_(segments), options_(options) {
  check_seconds(options.refine_seconds);
  if (!is_on()) return;
  refining_.seconds = options.refine_seconds;
  prompts_ = refine_prompts(stage);
  for (const Segment& segment : segments)
    check_refinable(std::ssize(segment.tokens), prompts_, stage.decoder, refining_);
}

CompressOptions MemoryRefiner::compress_options() const {
  CompressOptions options = options_;
  if (is_on()) options.progress = part_of(options_.progress, 0, kCompressShare);
  return options;
}

void MemoryRefiner::refine(std::span<MemoryTensors> memories) const {
  if (!is_on()) return;
  const double share = (1 - kCompressShare) / static_cast<double>(memories.size());
  for (size_t i = 0; i < memories.size(); ++i) {
    const double first = kCompressShare + share * static_cast<double>(i);
    RefineOptions options = refining_;
    options.progress =
        part_of(options_.progress, first, i + 1 == memories.size() ? 1.0 : first + share);
    RefineResult result =
        precis::refine(memories[i], segments_[i].tokens, prompts_, stage_.decoder, options);
    log_result(result);
    memories[i] = std::move(result.memory);
  }
}

}  // namespace precis
