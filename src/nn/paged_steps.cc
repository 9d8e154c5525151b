// SPDX-License-Identifier: Apache-2.0
#include "nn/paged_steps.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "ops/kernel_arguments.h"
#include "ops/paged_decode_step.h"
#include "ops/pages.h"
#include "ops/upload.h"

namespace precis::nn {
namespace {

// Each keeps the memory of a step's intermediate numbers.
constexpr size_t kMostIdle = 32;
// Of a sequence: 1,024 rows. Few sizes, so that few steps have to be recorded.
constexpr int64_t kFewestPages = 32;

int64_t pages_in_steps(int64_t pages) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max(pages, kFewestPages))));
}

// Lengths, then addresses of pages; 0 beyond a sequence's own.
at::Tensor tables_of(const std::vector<int64_t>& sequences,
                     const KvCache& cache,
                     const std::vector<int64_t>& lengths,
                     int64_t most_pages) {
  const int64_t rows = std::ssize(sequences);
  at::Tensor tables = at::zeros({rows * (1 + most_pages)}, at::kLong);
  auto* numbers = tables.mutable_data_ptr<int64_t>();
  std::copy(lengths.begin(), lengths.end(), numbers);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t* own = numbers + rows + row * most_pages;
    for (const at::Tensor& page : cache.pages(sequences[row])) {
      // What was reserved may be more than what is read.
      if (own == numbers + rows + (row + 1) * most_pages) break;
      *own++ = reinterpret_cast<int64_t>(page.mutable_data_ptr());
    }
  }
  return tables;
}

}  // namespace

PagedSteps::PagedSteps(ops::StepModel model, at::Tensor frequencies, at::Tensor local_frequencies)
    : model_(std::move(model)),
      frequencies_(std::move(frequencies)),
      local_frequencies_(std::move(local_frequencies)) {}

PagedSteps::~PagedSteps() = default;

bool PagedSteps::apply(const at::Tensor& x) const {
  return ops::gpu_kernel_applies(x) && ops::paged_decode_step_applies(model_, x, *kernels::cuda());
}

std::unique_ptr<PagedSteps::Recording> PagedSteps::take(const Size& size,
                                                        const at::Tensor& x) const {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(
        idle_.begin(), idle_.end(), [&](const auto& idle) { return idle->size == size; });
    if (found != idle_.end()) {
      std::unique_ptr<Recording> recording = std::move(*found);
      idle_.erase(found);
      return recording;
    }
  }
  const auto index = x.options().dtype(at::kLong);
  return std::make_unique<Recording>(Recording{size,
                                               at::empty_like(x),
                                               at::empty({size.rows}, index),
                                               at::empty({size.rows * (1 + size.pages)}, index),
                                               std::nullopt});
}

void PagedSteps::give_back(std::unique_ptr<Recording> recording) const {
  std::unique_ptr<Recording> oldest;  // let go of outside the lock
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(recording));
  if (idle_.size() <= kMostIdle) return;
  oldest = std::move(idle_.front());
  idle_.pop_front();
}

at::Tensor PagedSteps::queue(const Recording& recording) const {
  const DecoderConfig& config = model_.config;
  const ops::RotaryTable rotary =
      ops::rotary_table(frequencies_, recording.positions, config.rope.attention_factor);
  const ops::RotaryTable local =
      local_frequencies_.defined()
          ? ops::rotary_table(
                local_frequencies_, recording.positions, config.local_rope->attention_factor)
          : rotary;
  const auto [rows, pages, stream] = recording.size;
  const at::Tensor addresses = recording.tables.narrow(0, rows, rows * pages);
  return ops::paged_decode_step(model_,
                                {recording.x,
                                 rotary,
                                 local,
                                 recording.tables.narrow(0, 0, rows),
                                 addresses.view({rows, pages})},
                                {*kernels::cuda(), ops::current_stream()});
}

at::Tensor PagedSteps::run(const DecoderInput& input,
                           const KvCache& cache,
                           const std::vector<int64_t>& lengths) const {
  const at::Tensor& x = input.embeddings;
  const c10::DeviceGuard device(x.device());
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end()) + 1;
  const int64_t pages = pages_in_steps(ops::pages_for(longest));
  std::unique_ptr<Recording> recording = take({x.size(0), pages, ops::current_stream()}, x);
  recording->x.copy_(x, /*non_blocking=*/true);
  recording->positions.copy_(input.positions, /*non_blocking=*/true);
  recording->tables.copy_(
      ops::uploaded(tables_of(input.cache_sequences, cache, lengths, pages), x.device()));
  if (!recording->graph)
    recording->graph.emplace([&, own = recording.get()] { return queue(*own); });
  // The recording's own memory is the next step's.
  const at::Tensor hidden = recording->graph->replay().clone();
  give_back(std::move(recording));
  return hidden;
}

}  // namespace precis::nn
