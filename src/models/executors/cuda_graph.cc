// SPDX-License-Identifier: Apache-2.0
#include "models/executors/cuda_graph.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "models/executors/gpu_step.h"
#include "ops/copy_to_device.h"
#include "ops/kernel_arguments.h"
#include "ops/pages.h"

namespace precis::models {
namespace {

constexpr size_t kMostIdle = 32;
// Of a sequence: 1,024 rows.
constexpr int64_t kFewestPages = 32;
constexpr int64_t kRowStep = 16;

int64_t power_of_two(int64_t least) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(least)));
}

int64_t rounded_rows(int64_t rows) {
  return rows <= kRowStep ? power_of_two(rows) : (rows + kRowStep - 1) / kRowStep * kRowStep;
}

// Kernels are given addresses alone: what lies there has to be of the rows' dtype.
void check_pages(const at::Tensor& x, const std::vector<int64_t>& sequences, const KvCache& cache) {
  for (const int64_t sequence : sequences) {
    const at::Tensor& page = cache.pages(sequence).front();
    PRECIS_CHECK(page.scalar_type() == x.scalar_type() && page.device() == x.device(),
                 kInvalidArgument,
                 "decoder: rows are ",
                 at::toString(x.scalar_type()),
                 " on ",
                 x.device().str(),
                 ", the cache is ",
                 at::toString(page.scalar_type()),
                 " on ",
                 page.device().str());
  }
}

}  // namespace

PagedSteps::PagedSteps(ops::StepModel model, at::Tensor frequencies, at::Tensor local_frequencies)
    : model_(std::move(model)),
      frequencies_(std::move(frequencies)),
      local_frequencies_(std::move(local_frequencies)) {
  const KvShape shape = model_.config.kv_shape();
  // Of the widest dtype: where it is read as another, its rows are still within.
  padding_page_ =
      at::zeros({shape.num_layers, 2, shape.num_kv_heads, ops::kRowsPerPage, shape.head_dim},
                frequencies_.options().dtype(at::kFloat));
}

PagedSteps::~PagedSteps() = default;

bool PagedSteps::apply(const at::Tensor& x) const {
  return ops::gpu_kernel_applies(x) && ops::paged_decode_step_applies(model_, x, *kernels::cuda());
}

// Where a quantised weight is widened, the numbers are too many to keep between steps.
bool PagedSteps::is_recorded(const Size& size) const {
  const bool quantized = model_.layers.front().qkv.quantized.defined();
  return ops::Graph::can_capture() &&
         !(quantized && size.rows > kernels::WeightOnlyLinearArguments::kMostRows);
}

std::unique_ptr<PagedSteps::Step> PagedSteps::take(const Size& size, const at::Tensor& x) const {
  if (is_recorded(size)) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(
        idle_.begin(), idle_.end(), [&](const auto& idle) { return idle->size == size; });
    if (found != idle_.end()) {
      std::unique_ptr<Step> step = std::move(*found);
      idle_.erase(found);
      return step;
    }
  }
  const auto index = at::TensorOptions(at::kLong).device(x.device());
  return std::make_unique<Step>(
      Step{size,
           at::empty({size.rows, x.size(1)}, at::TensorOptions(size.dtype).device(x.device())),
           at::empty({size.rows}, index),
           at::empty({size.rows * (1 + size.pages)}, index)});
}

void PagedSteps::give_back(std::unique_ptr<Step> step) const {
  if (!step->graph) return;
  std::unique_ptr<Step> oldest;  // released outside the lock
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(step));
  if (idle_.size() <= kMostIdle) return;
  oldest = std::move(idle_.front());
  idle_.pop_front();
}

// Lengths, then addresses of pages. Rows beyond the sequences hold nothing, on the padding page.
at::Tensor PagedSteps::tables(const Size& size,
                              const std::vector<int64_t>& sequences,
                              const KvCache& cache,
                              const std::vector<int64_t>& lengths) const {
  at::Tensor all = at::zeros({size.rows * (1 + size.pages)}, at::kLong);
  auto* numbers = all.mutable_data_ptr<int64_t>();
  const auto address = [](const at::Tensor& page) {
    return reinterpret_cast<int64_t>(page.data_ptr());
  };
  std::copy(lengths.begin(), lengths.end(), numbers);
  for (int64_t row = 0; row < size.rows; ++row) {
    int64_t* own = numbers + size.rows + row * size.pages;
    if (row >= std::ssize(sequences)) {
      *own = address(padding_page_);
      continue;
    }
    // What was reserved may be more than what is read.
    const std::vector<at::Tensor>& pages = cache.pages(sequences[row]);
    const auto count = std::min<int64_t>(std::ssize(pages), size.pages);
    std::transform(pages.begin(), pages.begin() + count, own, address);
  }
  return all;
}

void PagedSteps::fill(const Step& step,
                      const DecoderInput& input,
                      const KvCache& cache,
                      const std::vector<int64_t>& lengths) const {
  const at::Tensor& x = input.embeddings;
  const int64_t rows = x.size(0), spare = step.size.rows - rows;
  step.x.narrow(0, 0, rows).copy_(x, /*non_blocking=*/true);
  step.positions.narrow(0, 0, rows).copy_(input.positions, /*non_blocking=*/true);
  if (spare > 0) {
    step.x.narrow(0, rows, spare).zero_();
    step.positions.narrow(0, rows, spare).zero_();
  }
  step.tables.copy_(ops::copy_to_device_async(
      tables(step.size, input.cache_sequences, cache, lengths), x.device()));
}

at::Tensor PagedSteps::queue(const Step& step) const {
  const DecoderConfig& config = model_.config;
  const auto table = [&](const at::Tensor& frequencies, const RopeConfig& rope) {
    return ops::rotary_table(frequencies, step.positions, rope.attention_factor);
  };
  const ops::RotaryTable rotary = table(frequencies_, config.rope);
  const int64_t rows = step.size.rows, pages = step.size.pages;
  return ops::paged_decode_step(
      model_,
      {step.x,
       rotary,
       local_frequencies_.defined() ? table(local_frequencies_, *config.local_rope) : rotary,
       step.tables.narrow(0, 0, rows),
       step.tables.narrow(0, rows, rows * pages).view({rows, pages})},
      {*kernels::cuda(), ops::current_stream()});
}

at::Tensor PagedSteps::run(const DecoderInput& input,
                           const KvCache& cache,
                           const std::vector<int64_t>& lengths) const {
  const at::Tensor& x = input.embeddings;
  check_pages(x, input.cache_sequences, cache);
  const c10::DeviceGuard device(x.device());
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end()) + 1;
  const Size size{rounded_rows(x.size(0)),
                  power_of_two(std::max(ops::pages_for(longest), kFewestPages)),
                  x.scalar_type()};
  at::Tensor hidden;
  std::unique_ptr<Step> step;
  {
    // Steps outlive the call, and serve callers in this mode and not.
    const c10::InferenceMode inference;
    step = take(size, x);
    fill(*step, input, cache, lengths);
    if (is_recorded(size) && !step->graph)
      step->graph.emplace([&, own = step.get()] { return queue(*own); }, memory_);
    hidden = step->graph ? step->graph->replay() : queue(*step);
  }
  // In the caller's mode, without the rows that it was filled up with.
  hidden = hidden.narrow(0, 0, x.size(0)).clone();
  give_back(std::move(step));
  return hidden;
}

}  // namespace precis::models
