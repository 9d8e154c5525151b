// SPDX-License-Identifier: Apache-2.0
#include "models/executors/cuda_graph.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "models/executors/gpu_step.h"
#include "models/executors/new_tokens.h"
#include "ops/copy_to_device.h"
#include "ops/kernel_arguments.h"
#include "ops/kv_blocks.h"

namespace precis::models {
namespace {

constexpr size_t kMostIdle = 32;
// Blocks of a sequence that a graph has at least: 1,024 tokens.
constexpr int64_t kFewestBlocks = 16;
constexpr int64_t kRowStep = 16;

int64_t power_of_two(int64_t least) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(least)));
}

int64_t rounded_rows(int64_t rows) {
  return rows <= kRowStep ? power_of_two(rows) : (rows + kRowStep - 1) / kRowStep * kRowStep;
}

// Kernels only get addresses, so that they cannot check the cache's dtype and device.
void check_blocks(const at::Tensor& x,
                  const std::vector<int64_t>& sequences,
                  const KvCache& cache) {
  for (const int64_t sequence : sequences) {
    const at::Tensor& block = cache.blocks(sequence).front();
    PRECIS_CHECK(block.scalar_type() == x.scalar_type() && block.device() == x.device(),
                 kInvalidArgument,
                 "decoder: the tokens are ",
                 at::toString(x.scalar_type()),
                 " on ",
                 x.device().str(),
                 ", the cache is ",
                 at::toString(block.scalar_type()),
                 " on ",
                 block.device().str());
  }
}

}  // namespace

CudaGraph::CudaGraph(const LayerStack& stack) : stack_(stack) {
  const KvShape shape = stack.config.kv_shape();
  // Of the widest dtype: as a block of a narrower one it is large enough.
  padding_block_ =
      at::zeros({shape.num_layers, shape.num_kv_heads, 2, ops::kBlockSize, shape.head_dim},
                stack.frequencies.options().dtype(at::kFloat));
}

CudaGraph::~CudaGraph() = default;

bool CudaGraph::applies(const at::Tensor& x) const {
  return ops::gpu_kernel_applies(x) && gpu_step_applies(stack_, x, *kernels::cuda());
}

// A weight that is dequantised for the step is too large to be kept between steps.
bool CudaGraph::is_captured(const Size& size) const {
  const bool quantized = stack_.layers.front().qkv.quantized.defined();
  return ops::Graph::can_capture() &&
         !(quantized && size.rows > kernels::WeightOnlyLinearArguments::kMostRows);
}

std::unique_ptr<CudaGraph::Step> CudaGraph::take(const Size& size, const at::Tensor& x) const {
  if (is_captured(size)) {
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
           at::empty({size.rows * (1 + size.blocks)}, index)});
}

void CudaGraph::give_back(std::unique_ptr<Step> step) const {
  if (!step->graph) return;
  std::unique_ptr<Step> oldest;  // released outside the lock
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(step));
  if (idle_.size() <= kMostIdle) return;
  oldest = std::move(idle_.front());
  idle_.pop_front();
}

// Lengths, then addresses of blocks. Padding rows have length 0 and the padding block.
at::Tensor CudaGraph::tables(const Size& size,
                             const std::vector<int64_t>& sequences,
                             const KvCache& cache,
                             const std::vector<int64_t>& lengths) const {
  at::Tensor all = at::zeros({size.rows * (1 + size.blocks)}, at::kLong);
  auto* table = all.mutable_data_ptr<int64_t>();
  const auto address = [](const at::Tensor& block) {
    return reinterpret_cast<int64_t>(block.data_ptr());
  };
  std::copy(lengths.begin(), lengths.end(), table);
  for (int64_t row = 0; row < size.rows; ++row) {
    int64_t* own = table + size.rows + row * size.blocks;
    if (row >= std::ssize(sequences)) {
      *own = address(padding_block_);
      continue;
    }
    // A sequence may have reserved more blocks than are read.
    const std::vector<at::Tensor>& blocks = cache.blocks(sequences[row]);
    const auto count = std::min<int64_t>(std::ssize(blocks), size.blocks);
    std::transform(blocks.begin(), blocks.begin() + count, own, address);
  }
  return all;
}

void CudaGraph::fill(const Step& step,
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

at::Tensor CudaGraph::queue(const Step& step) const {
  const int64_t rows = step.size.rows, blocks = step.size.blocks;
  return gpu_step(stack_,
                  {step.x,
                   rotary_tables(stack_, step.positions),
                   step.tables.narrow(0, 0, rows),
                   step.tables.narrow(0, rows, rows * blocks).view({rows, blocks})},
                  {*kernels::cuda(), ops::current_stream()});
}

at::Tensor CudaGraph::run(const DecoderInput& input, KvCache& cache) const {
  return with_new_tokens(input, cache, stack_.config, [&](const std::vector<int64_t>& lengths) {
    return run_step(input, cache, lengths);
  });
}

at::Tensor CudaGraph::run_step(const DecoderInput& input,
                               const KvCache& cache,
                               const std::vector<int64_t>& lengths) const {
  const at::Tensor& x = input.embeddings;
  check_blocks(x, input.cache_sequences, cache);
  const c10::DeviceGuard device(x.device());
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end()) + 1;
  const Size size{rounded_rows(x.size(0)),
                  power_of_two(std::max(ops::blocks_for(longest), kFewestBlocks)),
                  x.scalar_type()};
  at::Tensor hidden;
  std::unique_ptr<Step> step;
  {
    // Steps outlive the call, and later callers may or may not be in inference mode.
    const c10::InferenceMode inference;
    step = take(size, x);
    fill(*step, input, cache, lengths);
    if (is_captured(size) && !step->graph)
      step->graph.emplace([&, own = step.get()] { return queue(*own); }, memory_);
    hidden = step->graph ? step->graph->replay() : queue(*step);
  }
  // In the caller's mode, without padding.
  hidden = hidden.narrow(0, 0, x.size(0)).clone();
  give_back(std::move(step));
  return hidden;
}

}  // namespace precis::models
