// SPDX-License-Identifier: Apache-2.0
// Tells ThreadSanitizer how libgomp, which is not built with it, synchronises threads: writes
// before a parallel region happen before it, writes in it happen before what follows, and likewise
// at barriers. Linked with --wrap=GOMP_parallel,--wrap=GOMP_barrier, the functions behind `#pragma
// omp parallel` and `barrier`.
#include <sanitizer/tsan_interface.h>

extern "C" {
void __real_GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned flags);
void __real_GOMP_barrier();
}

namespace {

struct Region {
  void (*work)(void*);
  void* data;
  char begun = 0, ended = 0;  // their addresses are the synchronisation points
};

void run(void* context) {
  auto& region = *static_cast<Region*>(context);
  __tsan_acquire(&region.begun);
  region.work(region.data);
  __tsan_release(&region.ended);
}

char barrier;

}  // namespace

extern "C" void __wrap_GOMP_parallel(void (*work)(void*),
                                     void* data,
                                     unsigned threads,
                                     unsigned flags) {
  Region region{work, data};
  __tsan_release(&region.begun);
  __real_GOMP_parallel(run, &region, threads, flags);
  __tsan_acquire(&region.ended);
}

extern "C" void __wrap_GOMP_barrier() {
  __tsan_release(&barrier);
  __real_GOMP_barrier();
  __tsan_acquire(&barrier);
}
