// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace precis {

class TeamMember;

// Number of threads of parallel regions that the calling thread starts, including those of ATen,
// BLAS and oneDNN. Regions that other threads start keep their own number.
int64_t num_threads();
void set_num_threads(int64_t threads);  // REQUIRES: threads >= 1

// Sets the number of threads of the calling thread's regions for its lifetime.
class NumThreads {
 public:
  explicit NumThreads(int64_t threads) : before_(num_threads()) { set_num_threads(threads); }
  NumThreads(const NumThreads&) = delete;
  NumThreads& operator=(const NumThreads&) = delete;
  ~NumThreads() { set_num_threads(before_); }

 private:
  int64_t before_;
};

namespace detail {
void for_ranges(int64_t count,
                int64_t grain,
                void (*work)(const void* context, int64_t first, int64_t last),
                const void* context);
void run_team(int64_t most,
              void (*body)(const void* context, TeamMember& member),
              const void* context);
}  // namespace detail

// Runs work(first, last) over ranges that cover 0 .. count, all but the last of at least `grain`
// (1 or more), on as many threads as ATen uses (at::set_num_threads), including the caller's.
// Threads take the next range when they have finished one, so that a core that other programs keep
// busy does not delay the rest. Inside a parallel region there is one range. Exceptions of `work`
// are rethrown here. Thread-local modes of ATen (gradients, inference) are not passed on to the
// other threads: work that depends on them sets them.
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

// Threads that run the same sequence of phases, with a barrier after each (run_team). A barrier is
// cheaper than a parallel region for each phase: a pass over all layers would have hundreds.
class Team {
 public:
  explicit Team(int64_t threads) : threads_(threads), taken_(2 * threads) {}
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

 private:
  friend class TeamMember;
  friend void detail::run_team(int64_t most,
                               void (*body)(const void* context, TeamMember& member),
                               const void* context);

  // How much of a member's share has been taken; each on a cache line of its own.
  struct alignas(64) Taken {
    std::atomic<int64_t> count{0};
  };

  void barrier();

  int64_t threads_;
  std::vector<Taken> taken_;  // two for each member: for even and for odd phases
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> phase_{0};
};

class TeamMember {
 public:
  TeamMember(Team& team, int64_t index) : team_(team), index_(index) {}

  // As precis::for_ranges, but called by all members, with the same count and grain. Each member
  // works through its own share from the beginning (the same share for equal counts), then takes
  // ranges of other members' shares (work stealing), and returns when all ranges are finished;
  // everything written is then visible to all. Ranges have `grain` items, or a fixed fraction of a
  // member's share if that is more. REQUIRES: work does not throw.
  template <typename Work>
  void for_ranges(int64_t count, int64_t grain, const Work& work) {
    const int64_t threads = team_.threads_;
    if (threads == 1) {
      if (count > 0) work(0, count);
      return;
    }
    const int64_t step = range(count, grain);
    taken(index_, phase_ + 1)
        .store(0, std::memory_order_relaxed);  // not read before the next phase
    for (int64_t i = 0; i < threads; ++i) {
      const int64_t whose = (index_ + i) % threads;
      const int64_t begin = count * whose / threads, end = count * (whose + 1) / threads;
      std::atomic<int64_t>& own = taken(whose, phase_);
      while (begin + own.load(std::memory_order_relaxed) < end) {
        const int64_t first = begin + own.fetch_add(step, std::memory_order_relaxed);
        if (first < end) work(first, first + step < end ? first + step : end);
      }
    }
    ++phase_;
    team_.barrier();
  }

 private:
  int64_t range(int64_t count, int64_t grain) const;
  std::atomic<int64_t>& taken(int64_t member, int64_t phase) {
    return team_.taken_[2 * member + phase % 2].count;
  }

  Team& team_;
  int64_t index_;
  int64_t phase_ = 0;
};

// Runs body(member) once on each of as many threads as ATen uses, at most `most`; in a parallel
// region, on the caller's thread only. REQUIRES: body does not throw.
template <typename Body>
void run_team(int64_t most, const Body& body) {
  detail::run_team(
      most,
      [](const void* context, TeamMember& member) { (*static_cast<const Body*>(context))(member); },
      &body);
}

}  // namespace precis
