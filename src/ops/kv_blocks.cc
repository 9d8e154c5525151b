// SPDX-License-Identifier: Apache-2.0
#include "ops/kv_blocks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

using kernels::ReadPagesArguments;
using kernels::WritePagesArguments;

static_assert(kBlockSize == kernels::kBlockSize);

// Calls visit(block, first token in it, tokens before, tokens) for each block that holds some of
// the tokens.
template <typename Visit>
void for_each_block(int64_t first, int64_t count, const Visit& visit) {
  for (int64_t done = 0; done < count;) {
    const int64_t token = first + done, start = token % kBlockSize;
    const int64_t own = std::min(count - done, kBlockSize - start);
    visit(token / kBlockSize, start, done, own);
    done += own;
  }
}

bool fits(const at::Tensor& block, const at::Tensor& tokens) {
  return tokens.scalar_type() == block.scalar_type() && tokens.stride(2) == 1;
}

bool kernel_copies(const at::Tensor& block, const at::Tensor& keys, const at::Tensor& values) {
  return gpu_kernel_applies(block, {keys, values}) && fits(block, keys) && fits(block, values);
}

// Calls copy(first token, tokens before, tokens) for runs of at most the blocks that a GPU kernel
// takes at once.
template <typename Copy>
void for_each_run(int64_t first, int64_t count, const Copy& copy) {
  constexpr int64_t kMostTokens = (WritePagesArguments::kMostPages - 1) * kBlockSize;
  for (int64_t done = 0; done < count; done += kMostTokens)
    copy(first + done, done, std::min(kMostTokens, count - done));
}

// address(tokens): the pointer that the kernel takes.
template <typename Arguments, typename Address>
Arguments arguments_for(std::span<const at::Tensor> blocks,
                        int64_t layer,
                        int64_t first,
                        const at::Tensor& keys,
                        const at::Tensor& values,
                        const Address& address) {
  Arguments arguments{{},
                      first % kBlockSize,
                      layer,
                      address(keys),
                      address(values),
                      keys.stride(0),
                      keys.stride(1),
                      values.stride(0),
                      values.stride(1),
                      keys.size(0),
                      keys.size(2)};
  for_each_block(first, keys.size(1), [&](int64_t block, int64_t, int64_t, int64_t) {
    arguments.pages[block - first / kBlockSize] = blocks[block].data_ptr();
  });
  return arguments;
}

// Copies on the CPU, of one token of a head or of several that are contiguous. memcpy, because
// decoding makes two such copies a layer, and dispatching one to ATen costs more than the copy.
struct Copies {
  const at::Tensor& tokens;  // [kv_heads, n, head_dim]
  int64_t layer;
  int64_t kind;  // 0: keys, 1: values

  int64_t token_bytes() const {
    return tokens.size(2) * static_cast<int64_t>(tokens.element_size());
  }
  std::byte* in_block(const at::Tensor& block, int64_t head, int64_t token) const {
    const int64_t heads = tokens.size(0);
    return static_cast<std::byte*>(block.data_ptr()) +
           ((2 * (layer * heads + head) + kind) * kBlockSize + token) * token_bytes();
  }
  int64_t offset(int64_t head, int64_t token) const {
    return (head * tokens.stride(0) + token * tokens.stride(1)) *
           static_cast<int64_t>(tokens.element_size());
  }
};

void write_on_cpu(std::span<const at::Tensor> blocks, int64_t first, const Copies& own) {
  const auto* from = static_cast<const std::byte*>(own.tokens.const_data_ptr());
  for_each_block(
      first, own.tokens.size(1), [&](int64_t block, int64_t start, int64_t before, int64_t count) {
        for (int64_t head = 0; head < own.tokens.size(0); ++head) {
          std::byte* to = own.in_block(blocks[block], head, start);
          for (int64_t i = 0; i < count; ++i)
            std::memcpy(
                to + i * own.token_bytes(), from + own.offset(head, before + i), own.token_bytes());
        }
      });
}

void read_on_cpu(std::span<const at::Tensor> blocks, int64_t first, const Copies& own) {
  auto* to = static_cast<std::byte*>(own.tokens.mutable_data_ptr());
  for_row_ranges(own.tokens.size(0),
                 own.tokens.size(1) * own.tokens.size(2),
                 [&](int64_t first_head, int64_t last_head) {
                   for_each_block(first,
                                  own.tokens.size(1),
                                  [&](int64_t block, int64_t start, int64_t before, int64_t count) {
                                    for (int64_t head = first_head; head < last_head; ++head)
                                      std::memcpy(to + own.offset(head, before),
                                                  own.in_block(blocks[block], head, start),
                                                  count * own.token_bytes());
                                  });
                 });
}

}  // namespace

void reference::write_to_blocks(std::span<const at::Tensor> blocks,
                                int64_t layer,
                                int64_t first,
                                const at::Tensor& keys,
                                const at::Tensor& values) {
  for_each_block(
      first, keys.size(1), [&](int64_t block, int64_t start, int64_t before, int64_t count) {
        const at::Tensor own = blocks[block][layer];
        own.select(1, 0).narrow(1, start, count).copy_(keys.narrow(1, before, count));
        own.select(1, 1).narrow(1, start, count).copy_(values.narrow(1, before, count));
      });
}

std::pair<at::Tensor, at::Tensor> reference::read_from_blocks(std::span<const at::Tensor> blocks,
                                                              int64_t layer,
                                                              int64_t first,
                                                              int64_t count) {
  std::vector<at::Tensor> tokens;
  for_each_block(first, count, [&](int64_t block, int64_t start, int64_t, int64_t own) {
    tokens.push_back(blocks[block][layer].narrow(2, start, own));
  });
  const at::Tensor all = at::cat(tokens, 2);  // [kv_heads, 2, count, head_dim]
  return {all.select(1, 0), all.select(1, 1)};
}

void write_to_blocks(std::span<const at::Tensor> blocks,
                     int64_t layer,
                     int64_t first,
                     const at::Tensor& keys,
                     const at::Tensor& values) {
  const int64_t count = keys.size(1);
  if (count == 0) return;
  const at::Tensor& block = blocks[first / kBlockSize];
  if (block.is_cpu() && keys.is_cpu() && values.is_cpu() && fits(block, keys) &&
      fits(block, values)) {
    write_on_cpu(blocks, first, {keys, layer, 0});
    write_on_cpu(blocks, first, {values, layer, 1});
    return;
  }
  if (!kernel_copies(block, keys, values))
    return reference::write_to_blocks(blocks, layer, first, keys, values);
  for_each_run(first, count, [&](int64_t token, int64_t before, int64_t own) {
    const auto arguments = arguments_for<WritePagesArguments>(
        blocks,
        layer,
        token,
        keys.narrow(1, before, own),
        values.narrow(1, before, own),
        [](const at::Tensor& tokens) { return tokens.const_data_ptr(); });
    on_gpu(keys, "write_pages", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
      gpu.write_pages(element_of(keys), arguments, own, stream);
    });
  });
}

std::pair<at::Tensor, at::Tensor> read_from_blocks(std::span<const at::Tensor> blocks,
                                                   int64_t layer,
                                                   int64_t first,
                                                   int64_t count) {
  const at::Tensor& block = blocks[first / kBlockSize];
  if (block.is_cpu()) {
    const at::Tensor all = at::empty({2, block.size(1), count, block.size(4)}, block.options());
    const at::Tensor keys = all[0], values = all[1];
    read_on_cpu(blocks, first, {keys, layer, 0});
    read_on_cpu(blocks, first, {values, layer, 1});
    return {keys, values};
  }
  if (!gpu_kernel_applies(block)) return reference::read_from_blocks(blocks, layer, first, count);
  // The heads of a token are contiguous, as attention over packed sequences reads them.
  const at::Tensor all = at::empty({2, count, block.size(1), block.size(4)}, block.options());
  const at::Tensor keys = all[0].transpose(0, 1), values = all[1].transpose(0, 1);
  for_each_run(first, count, [&](int64_t token, int64_t before, int64_t own) {
    const auto arguments = arguments_for<ReadPagesArguments>(
        blocks,
        layer,
        token,
        keys.narrow(1, before, own),
        values.narrow(1, before, own),
        [](const at::Tensor& tokens) { return tokens.mutable_data_ptr(); });
    on_gpu(block, "read_pages", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
      gpu.read_pages(element_of(block), arguments, own, stream);
    });
  });
  return {keys, values};
}

}  // namespace precis::ops
