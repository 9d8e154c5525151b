// SPDX-License-Identifier: Apache-2.0
#include "support/cuda_on_cpu/launch.h"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

// Tells AddressSanitizer about stack switches; undefined without it.
extern "C" {
__attribute__((weak)) void __sanitizer_start_switch_fiber(void**, const void*, size_t);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
}

namespace precis::cuda_on_cpu {
namespace {

namespace context = boost::context;

constexpr size_t kStackBytes = 256 * 1024;
constexpr int kWarp = 32;

struct Stack {
  const void* bottom = nullptr;
  size_t size = 0;
};

void leave_for(void** own_state, const Stack& to) {
  if (__sanitizer_start_switch_fiber != nullptr)
    __sanitizer_start_switch_fiber(own_state, to.bottom, to.size);
}
void arrived_from(void* own_state, Stack* from) {
  if (__sanitizer_finish_switch_fiber != nullptr)
    __sanitizer_finish_switch_fiber(
        own_state, from ? &from->bottom : nullptr, from ? &from->size : nullptr);
}

// Thrown in fibers whose block has failed, to unwind them.
struct Abandoned {};

// A warp operation in progress: values contributed by the lanes so far.
struct Meeting {
  unsigned present = 0;
  uint64_t given[kWarp] = {};
  uint64_t shown[kWarp] = {};
  const char* name = nullptr;
};

enum class State { kReady, kAtBarrier, kMeeting, kEnded };

struct Thread {
  State state = State::kReady;
  context::fiber fiber;
  dim3 index;
  int number = 0;  // index in its block
  int predicate = 0;
  const Meeting* meeting = nullptr;
};

// Stacks of fibers, reused by the next block.
class Stacks {
 public:
  Stack at(size_t number) {
    while (stacks_.size() <= number)
      stacks_.push_back(std::make_unique_for_overwrite<std::byte[]>(kStackBytes));
    return {stacks_[number].get(), kStackBytes};
  }

 private:
  std::vector<std::unique_ptr<std::byte[]>> stacks_;
};

class Block {
 public:
  Block(const dim3& shape, Stacks& stacks, std::mt19937_64& random)
      : stacks_(stacks), random_(random), meetings_((size(shape) + kWarp - 1) / kWarp) {
    threads_.resize(size(shape));
    for (size_t i = 0; i < threads_.size(); ++i) {
      const auto n = static_cast<unsigned>(i);
      threads_[i].number = static_cast<int>(i);
      threads_[i].index = {n % shape.x, n / shape.x % shape.y, n / shape.x / shape.y};
    }
  }

  static size_t size(const dim3& shape) { return size_t{shape.x} * shape.y * shape.z; }

  void run(const std::function<void()>& work) {
    for (Thread& thread : threads_) start(thread, work);
    // Either all warps alternate, or one runs as far as it can before the next: a missing barrier
    // shows in one of the two.
    const bool in_turn = random_() % 2 == 0;
    hurry_warps();
    std::vector<Thread*> ready;
    for (Thread& thread : threads_) ready.push_back(&thread);
    while (!ready.empty()) {
      if (!in_turn) keep_first_warp(ready);
      std::shuffle(ready.begin(), ready.end(), random_);
      for (Thread* thread : ready) resume(*thread);
      if (failure_) abandon();
      ready = next_ready();
    }
  }

  int wait_for_block(int predicate) {
    running_->predicate = predicate;
    wait(State::kAtBarrier);
    return counted_;
  }

  Meeting& meet(const char* name, unsigned mask, uint64_t given) {
    const int lane = running_->number % kWarp;
    if ((mask >> lane & 1) == 0)
      throw std::logic_error(std::string(name) + ": own lane is not in the mask");
    Meeting& meeting = meetings_[running_->number / kWarp][mask];
    if (meeting.present != 0 && std::strcmp(meeting.name, name) != 0)
      throw std::logic_error(std::string(name) + ": other lanes of the mask are in " +
                             meeting.name);
    meeting.name = name;
    meeting.given[lane] = given;
    meeting.present |= 1u << lane;
    if (meeting.present == mask) {
      std::copy(std::begin(meeting.given), std::end(meeting.given), std::begin(meeting.shown));
      meeting.present = 0;
      for (Thread& thread : threads_)
        if (thread.meeting == &meeting) thread.meeting = nullptr;
      return meeting;
    }
    running_->meeting = &meeting;
    wait(State::kMeeting);
    return meeting;
  }

  int lane() const { return running_->number % kWarp; }

 private:
  // Draws the order of the warps until the next barrier.
  void hurry_warps() {
    hurry_.resize(meetings_.size());
    std::iota(hurry_.begin(), hurry_.end(), 0);
    std::shuffle(hurry_.begin(), hurry_.end(), random_);
  }

  void keep_first_warp(std::vector<Thread*>& ready) const {
    const auto place = [&](const Thread* thread) { return hurry_[thread->number / kWarp]; };
    int first = place(ready.front());
    for (const Thread* thread : ready) first = std::min(first, place(thread));
    std::erase_if(ready, [&](const Thread* thread) { return place(thread) != first; });
  }

  void start(Thread& thread, const std::function<void()>& work) {
    const Stack stack = stacks_.at(thread.number);
    context::stack_context place;
    place.sp = static_cast<std::byte*>(const_cast<void*>(stack.bottom)) + stack.size;
    place.size = stack.size;
    struct Kept {  // stacks are reused
      context::stack_context allocate() { return {}; }
      void deallocate(context::stack_context&) {}
    };
    thread.fiber = context::fiber(std::allocator_arg,
                                  context::preallocated(place.sp, place.size, place),
                                  Kept{},
                                  [this, &thread, &work](context::fiber&& scheduler) {
                                    arrived_from(nullptr, &scheduler_stack_);
                                    scheduler_ = std::move(scheduler);
                                    try {
                                      if (!abandoned_) work();
                                    } catch (const Abandoned&) {
                                    } catch (...) {
                                      if (!failure_) failure_ = std::current_exception();
                                    }
                                    thread.state = State::kEnded;
                                    leave_for(nullptr, scheduler_stack_);
                                    return std::move(scheduler_);
                                  });
  }

  void resume(Thread& thread) {
    running_ = &thread;
    threadIdx = thread.index;
    void* own_state = nullptr;
    leave_for(&own_state, stacks_.at(thread.number));
    thread.fiber = std::move(thread.fiber).resume();
    arrived_from(own_state, nullptr);
  }

  void wait(State state) {
    Thread& thread = *running_;
    thread.state = state;
    void* own_state = nullptr;
    leave_for(&own_state, scheduler_stack_);
    context::fiber scheduler = std::move(scheduler_).resume();
    arrived_from(own_state, &scheduler_stack_);
    scheduler_ = std::move(scheduler);
    thread.state = State::kReady;
    if (abandoned_) throw Abandoned{};
  }

  std::vector<Thread*> next_ready() {
    std::vector<Thread*> ready;
    size_t at_barrier = 0, ended = 0;
    for (Thread& thread : threads_) {
      at_barrier += thread.state == State::kAtBarrier;
      ended += thread.state == State::kEnded;
      const bool met = thread.state == State::kMeeting && thread.meeting == nullptr;
      if (met || thread.state == State::kReady) ready.push_back(&thread);
    }
    if (!ready.empty() || ended == threads_.size()) return ready;
    if (at_barrier < threads_.size()) fail_waiting(at_barrier, ended);
    counted_ =
        static_cast<int>(std::count_if(threads_.begin(), threads_.end(), [](const Thread& thread) {
          return thread.predicate != 0;
        }));
    for (Thread& thread : threads_) {
      thread.state = State::kReady;
      ready.push_back(&thread);
    }
    hurry_warps();
    return ready;
  }

  [[noreturn]] void fail_waiting(size_t at_barrier, size_t ended) {
    std::string what = "deadlock: " + std::to_string(at_barrier) + " at __syncthreads, " +
                       std::to_string(ended) + " have ended";
    for (const Thread& thread : threads_) {
      if (thread.state != State::kMeeting) continue;
      what += ", thread " + std::to_string(thread.number) + " in " + thread.meeting->name;
      break;
    }
    failure_ = std::make_exception_ptr(std::logic_error(what));
    abandon();
  }

  [[noreturn]] void abandon() {
    abandoned_ = true;
    for (Thread& thread : threads_)
      while (thread.state != State::kEnded) resume(thread);
    std::rethrow_exception(failure_);
  }

  Stacks& stacks_;
  std::mt19937_64& random_;
  std::vector<std::map<unsigned, Meeting>> meetings_;  // of each warp, by mask
  std::vector<Thread> threads_;
  std::vector<int> hurry_;  // position of each warp in that order
  Thread* running_ = nullptr;
  context::fiber scheduler_;
  Stack scheduler_stack_;
  std::exception_ptr failure_;
  bool abandoned_ = false;
  int counted_ = 0;
};

Block* running_block = nullptr;

}  // namespace

int wait_for_block(int predicate) { return running_block->wait_for_block(predicate); }

Trial& trial() {
  static Trial all;
  return all;
}

void wait_at(const std::source_location& barrier) {
  const Barrier own{barrier.file_name(), barrier.line()};
  trial().met.insert(own);
  if (own != trial().left_out) wait_for_block(0);
}

uint64_t exchange(
    const char* name, unsigned mask, uint64_t given, int (*source)(int, int), int argument) {
  const int lane = running_block->lane();
  const Meeting& meeting = running_block->meet(name, mask, given);
  const int from = source(lane, argument);
  if ((mask >> from & 1) == 0)
    throw std::logic_error(std::string(name) + ": reads a lane that is not in the mask");
  return meeting.shown[from];
}

unsigned ballot(unsigned mask, bool predicate) {
  const Meeting& meeting = running_block->meet("a vote", mask, predicate ? 1 : 0);
  unsigned votes = 0;
  for (int lane = 0; lane < kWarp; ++lane)
    if (mask >> lane & 1) votes |= static_cast<unsigned>(meeting.shown[lane]) << lane;
  return votes;
}

namespace {

void run_blocks(const Grid& grid,
                const std::function<void()>& enter_block,
                const std::function<void()>& thread) {
  std::mt19937_64 random(grid.seed + trial().seed);
  static Stacks stacks;
  std::vector<unsigned> order(Block::size(grid.blocks));
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random);
  gridDim = grid.blocks;
  blockDim = grid.threads;
  for (const unsigned number : order) {
    blockIdx = {number % grid.blocks.x,
                number / grid.blocks.x % grid.blocks.y,
                number / grid.blocks.x / grid.blocks.y};
    enter_block();
    Block block(grid.threads, stacks, random);
    running_block = &block;
    block.run(thread);
    running_block = nullptr;
  }
}

}  // namespace

AroundLaunches& around_launches() {
  static AroundLaunches around = nullptr;
  return around;
}

void run(const Grid& grid,
         const std::function<void()>& enter_block,
         const std::function<void()>& thread) {
  if (around_launches() == nullptr) return run_blocks(grid, enter_block, thread);
  around_launches()([&] { run_blocks(grid, enter_block, thread); });
}

}  // namespace precis::cuda_on_cpu
