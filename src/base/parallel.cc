// SPDX-License-Identifier: Apache-2.0
// Compiled with OpenMP: without it, at::parallel_for is a plain call.
#include "base/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace precis {
namespace {

// More ranges than threads, so that a slow thread takes fewer of them.
constexpr int64_t kRangesPerThread = 4;

}  // namespace

void detail::for_ranges(int64_t count,
                        int64_t grain,
                        void (*work)(const void* context, int64_t first, int64_t last),
                        const void* context) {
  if (count <= 0) return;
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), (count + grain - 1) / grain);
  if (threads <= 1 || at::in_parallel_region()) return work(context, 0, count);
  const int64_t wanted = threads * kRangesPerThread;
  const int64_t step = std::max(grain, (count + wanted - 1) / wanted);
  std::atomic<int64_t> next{0};
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (int64_t first = next.fetch_add(step); first < count; first = next.fetch_add(step))
      work(context, first, std::min(count, first + step));
  });
}

}  // namespace precis
