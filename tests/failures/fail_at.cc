// SPDX-License-Identifier: Apache-2.0
#include "failures/fail_at.h"

#include <c10/core/CPUAllocator.h>
#include <dlfcn.h>
#include <execinfo.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string_view>

extern "C" char __executable_start, etext;  // by the linker: where the code of this program lies

// A size that nobody has is an error to be reported, not one of the program.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace precis::failures {
namespace {

constexpr int kNone = -1;

std::atomic<int> failing_layer{kNone};
std::atomic<int64_t> failing_call{0}, calls{0};
std::atomic<int64_t> blocks{0};

// Code of libtorch and of the standard library is not asked to be better than it is.
bool is_of_this_program(const void* caller) {
  return &__executable_start <= caller && caller < &etext;
}

// The destructor of nlohmann::json allocates, and cannot throw.
bool json_is_destroyed() {
  constexpr int kFrames = 12;
  void* frames[kFrames];
  const int count = backtrace(frames, kFrames);
  for (int i = 0; i < count; ++i) {
    Dl_info found{};
    const bool named = dladdr(frames[i], &found) != 0 && found.dli_sname != nullptr;
    if (named && std::string_view(found.dli_sname).find("json_value7destroy") != std::string::npos)
      return true;
  }
  return false;
}

void* allocate(std::size_t size, const void* caller) {
  if (is_of_this_program(caller) && is_to_fail(Layer::kNew) && !json_is_destroyed()) return nullptr;
  void* block = std::malloc(size == 0 ? 1 : size);
  if (block != nullptr) ++blocks;
  return block;
}

void* allocate_or_throw(std::size_t size, const void* caller) {
  void* block = allocate(size, caller);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void release(void* block) {
  if (block != nullptr) --blocks;
  std::free(block);
}

// libtorch's own allocator, which is asked for what no machine has where it is to fail.
class FailingAllocator final : public c10::Allocator {
 public:
  explicit FailingAllocator(c10::Allocator* own) : own_(own) {}

  c10::DataPtr allocate(size_t size) override {
    constexpr size_t kTooLarge = size_t{1} << 60;
    return own_->allocate(size > 0 && is_to_fail(Layer::kTensors) ? kTooLarge : size);
  }
  c10::DeleterFnPtr raw_deleter() const override { return own_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t size) const override {
    default_copy_data(to, from, size);
  }

 private:
  c10::Allocator* own_;
};

// As long as the process: tensors of libtorch's own may outlive all others.
void use_failing_allocator() {
  static const bool used = [] {
    constexpr uint8_t kOverTheDefault = 100;
    c10::SetCPUAllocator(new FailingAllocator(c10::GetDefaultCPUAllocator()), kOverTheDefault);
    return true;
  }();
  static_cast<void>(used);
}

}  // namespace

void fail_at(Layer layer, int64_t n) {
  use_failing_allocator();
  calls = 0;
  failing_call = n;
  failing_layer = static_cast<int>(layer);
}

bool stop_failing() {
  failing_layer = kNone;
  return calls >= failing_call;
}

bool is_to_fail(Layer layer) {
  return failing_layer == static_cast<int>(layer) && ++calls == failing_call;
}

int64_t blocks_alive() { return blocks; }

}  // namespace precis::failures

using precis::failures::allocate;
using precis::failures::allocate_or_throw;
using precis::failures::release;

void* operator new(std::size_t size) {
  return allocate_or_throw(size, __builtin_return_address(0));
}
void* operator new[](std::size_t size) {
  return allocate_or_throw(size, __builtin_return_address(0));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, __builtin_return_address(0));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return allocate(size, __builtin_return_address(0));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { release(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { release(block); }
