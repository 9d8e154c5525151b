// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis {

namespace detail {
void for_ranges(int64_t count,
                int64_t grain,
                void (*work)(const void* context, int64_t first, int64_t last),
                const void* context);
}

// Runs work(first, last) over ranges that make up 0 .. count, all but the last of at least `grain`
// (1 or more), on as many threads as ATen uses (at::set_num_threads), the caller's among them.
// Threads take the next range when they are done with one, so that a core that others keep busy
// does not hold up the rest. Within a thread of a parallel region, in one range. What `work` throws
// is thrown here. Modes of ATen that belong to a thread (gradients, inference) are the caller's in
// some ranges and not in others: work that depends on them sets them.
template <typename Work>
void for_ranges(int64_t count, int64_t grain, const Work& work) {
  detail::for_ranges(
      count,
      grain,
      [](const void* context, int64_t first, int64_t last) {
        (*static_cast<const Work*>(context))(first, last);
      },
      &work);
}

}  // namespace precis
