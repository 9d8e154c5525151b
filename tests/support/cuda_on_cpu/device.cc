// SPDX-License-Identifier: Apache-2.0
#include "support/cuda_on_cpu/device.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "kernels/cuda_kernels.h"
#include "ops/packed_attention.h"
#include "ops/stream.h"
#include "support/cuda_on_cpu/launch.h"
#include "support/cuda_on_cpu/table.h"

namespace precis {
namespace cuda_on_cpu {
namespace {

const c10::Device kDevice(c10::DeviceType::CUDA, 0);

// An address range that is inaccessible except while device work runs.
class Memory final : public c10::Allocator {
 public:
  Memory() {
    void* start =
        ::mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) throw std::runtime_error("no room for a device's memory");
    start_ = static_cast<std::byte*>(start);
  }

  // New memory holds NaNs.
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, kDevice};
    const DeviceAtWork open;
    const size_t size = std::bit_ceil(std::max(bytes, kLeast));
    std::vector<std::byte*>& free = free_[std::countr_zero(size)];
    std::byte* block = nullptr;
    if (!free.empty()) {
      block = free.back();
      free.pop_back();
    } else {
      if (size > kBytes - used_) throw std::runtime_error("the device's memory is full");
      block = start_ + used_;
      used_ += size;
    }
    std::memset(block, 0xff, bytes);
    return {block, new Block{this, block, size}, &Memory::release, kDevice};
  }

  void copy_data(void* to, const void* from, size_t bytes) const override {
    const DeviceAtWork open;
    std::memcpy(to, from, bytes);
  }

  void enter() {
    mutex_.lock();
    if (depth_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void leave() {
    if (--depth_ == 0) protect(PROT_NONE);
    mutex_.unlock();
  }

 private:
  static constexpr size_t kBytes = size_t{1} << 33, kLeast = 256, kLarge = size_t{1} << 20;

  struct Block {
    Memory* memory;
    std::byte* start;
    size_t size;
  };

  static void release(void* context) {
    const std::unique_ptr<Block> block(static_cast<Block*>(context));
    const std::lock_guard lock(block->memory->mutex_);
    // mprotect takes time for every resident page.
    if (block->size >= kLarge) ::madvise(block->start, block->size, MADV_DONTNEED);
    block->memory->free_[std::countr_zero(block->size)].push_back(block->start);
  }

  void protect(int mode) {
    if (::mprotect(start_, kBytes, mode) != 0) throw std::runtime_error("mprotect");
  }

  std::byte* start_ = nullptr;
  size_t used_ = 0;
  int depth_ = 0;
  std::array<std::vector<std::byte*>, 64> free_;
  std::recursive_mutex mutex_;
};

// Never destroyed: tensors may outlive any static object.
Memory& memory() {
  static auto* const memory = new Memory;
  return *memory;
}

struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  at::DeviceIndex deviceCount() const override { return 1; }
  at::DeviceIndex current_device() const override { return 0; }
  at::DeviceIndex getCurrentDevice() const override { return 0; }
  bool hasPrimaryContext(at::DeviceIndex) const override { return true; }
  at::Allocator* getPinnedMemoryAllocator() const override {
    return c10::GetAllocator(c10::DeviceType::CPU);
  }
  void deviceSynchronize(at::DeviceIndex) const override {}
  // Random numbers come from the CPU's generator.
  const at::Generator& getDefaultGenerator(at::DeviceIndex) const override {
    return at::detail::getDefaultCPUGenerator();
  }
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  at::DeviceType type() const override { return kDevice.type(); }
  at::Device exchangeDevice(at::Device) const override { return kDevice; }
  at::Device getDevice() const override { return kDevice; }
  void setDevice(at::Device) const override {}
  void uncheckedSetDevice(at::Device) const noexcept override {}
  c10::Stream getStream(at::Device) const override { return default_stream(); }
  c10::Stream getDefaultStream(at::Device) const override { return default_stream(); }
  c10::Stream getStreamFromGlobalPool(at::Device, bool) const override { return default_stream(); }
  c10::Stream getNewStream(at::Device, int) const override { return default_stream(); }
  c10::Stream exchangeStream(c10::Stream) const override { return default_stream(); }
  at::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, at::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, at::DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}

 private:
  static c10::Stream default_stream() { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
};

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::CUDA);

at::Tensor empty(at::IntArrayRef size,
                 std::optional<at::ScalarType> dtype,
                 std::optional<at::Layout>,
                 std::optional<at::Device>,
                 std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::Tensor(at::detail::empty_generic(
      size, &memory(), kKeys, dtype.value_or(at::get_default_dtype_as_scalartype()), format));
}

at::Tensor empty_strided(at::IntArrayRef size,
                         at::IntArrayRef stride,
                         std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>,
                         std::optional<at::Device>,
                         std::optional<bool>) {
  return at::Tensor(at::detail::empty_strided_generic(
      size, stride, &memory(), kKeys, dtype.value_or(at::get_default_dtype_as_scalartype())));
}

// The same memory as a CPU tensor. REQUIRES: a DeviceAtWork alive while it is used.
at::Tensor opened(const at::Tensor& x) {
  if (!x.is_cuda()) return x;
  return at::from_blob(x.data_ptr(), x.sizes(), x.strides(), x.options().device(at::kCPU));
}

at::Tensor& copy(at::Tensor& to, const at::Tensor& from, bool) {
  const DeviceAtWork work;
  if (to.numel() > 0) opened(to).copy_(opened(from));
  return to;
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  at::Tensor own = to;
  return copy(own, from, false);
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) {
    const at::Tensor larger = at::empty(from.sizes(), to.options());
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(larger.storage());
    to.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  }
  return copy_from(from, to, false);
}

// Refuses what a GPU refuses: operands on two devices.
void check_devices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const std::string name = op.schema().operator_name().name;
  // ATen copies CPU indices to the device.
  if (name == "aten::index" || name.starts_with("aten::index_put") ||
      name.starts_with("aten::_index_put"))
    return;
  const auto check = [&](const at::Tensor& x) {
    TORCH_CHECK(!x.defined() || x.is_cuda() || x.dim() == 0,
                name,
                ": a tensor of the CPU, ",
                x.sizes(),
                ", among those of the GPU");
  };
  const size_t count = op.schema().arguments().size();
  for (const c10::IValue& value : torch::jit::last(stack, count)) {
    if (value.isTensor()) check(value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& x : value.toTensorVector()) check(x);
    }
    TORCH_CHECK(!value.isGenerator(), name, ": a generator of the CPU for a tensor of the GPU");
  }
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  check_devices(op, *stack);
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
}

// In float32, as GPU kernels accumulate. Masks are bool.
at::Tensor attention(const at::Tensor& q,
                     const at::Tensor& k,
                     const at::Tensor& v,
                     const std::optional<at::Tensor>& mask,
                     double dropout,
                     bool causal,
                     std::optional<double> scale,
                     bool grouped) {
  const auto wide = [](const at::Tensor& x) { return x.to(at::kFloat); };
  std::optional<at::Tensor> added;
  if (mask)
    added = at::zeros_like(*mask, at::kFloat)
                .masked_fill(mask->logical_not(), -std::numeric_limits<float>::infinity());
  return std::get<0>(at::_scaled_dot_product_attention_math(
                         wide(q), wide(k), wide(v), added, dropout, causal, {}, scale, grouped))
      .to(q.scalar_type());
}

std::vector<int64_t> starts(const std::optional<at::Tensor>& there) {
  TORCH_CHECK(
      there && there->is_cuda() && there->scalar_type() == at::kInt && there->is_contiguous(),
      "starts of sequences are int32 of the GPU");
  const at::Tensor here = there->cpu().to(at::kLong);
  const auto* first = here.const_data_ptr<int64_t>();
  return {first, first + here.numel()};
}

at::Tensor packed(const at::Tensor& q,
                  const at::Tensor& k,
                  const at::Tensor& v,
                  const std::optional<at::Tensor>& queries,
                  const std::optional<at::Tensor>& keys,
                  int64_t longest_query,
                  int64_t longest_key,
                  std::optional<double> scale,
                  int64_t window) {
  for (const at::Tensor& x : {q, k, v})
    TORCH_CHECK(x.is_cuda() && x.stride(-1) == 1, "rows of attention lie together");
  const ops::PackedSequences sequences{starts(queries), starts(keys), {}, {}};
  for (size_t i = 0; i + 1 < sequences.queries.size(); ++i)
    TORCH_CHECK(sequences.queries[i + 1] - sequences.queries[i] <= longest_query &&
                    sequences.keys[i + 1] - sequences.keys[i] <= longest_key,
                "a sequence is longer than the longest");
  const auto wide = [](const at::Tensor& x) { return x.cpu().to(at::kFloat); };
  return ops::reference::packed_attention(
             wide(q), wide(k), wide(v), sequences, {scale.value(), window})
      .to(q.options());
}

// The contract that ops::packed_attention relies on: accepted inputs and the window. Whether
// libtorch's kernel keeps it is tested on a GPU only.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> flash_attention(
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const std::optional<at::Tensor>& queries,
    const std::optional<at::Tensor>& keys,
    int64_t longest_query,
    int64_t longest_key,
    double,
    bool causal,
    bool,
    std::optional<double> scale,
    std::optional<int64_t> before,
    std::optional<int64_t> after,
    const std::optional<at::Tensor>&,
    const std::optional<at::Tensor>&) {
  TORCH_CHECK(q.scalar_type() == at::kBFloat16 && q.size(2) % 8 == 0 && q.size(2) <= 256 &&
                  causal && after == 0,
              "flash attention does not take this");
  const int64_t window = before ? *before + 1 : 0;
  return {
      packed(q, k, v, queries, keys, longest_query, longest_key, scale, window), {}, {}, {}, {}};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt>
efficient_attention(const at::Tensor& q,
                    const at::Tensor& k,
                    const at::Tensor& v,
                    const std::optional<at::Tensor>&,
                    const std::optional<at::Tensor>& queries,
                    const std::optional<at::Tensor>& keys,
                    std::optional<c10::SymInt> longest_query,
                    std::optional<c10::SymInt> longest_key,
                    double,
                    int64_t mask,
                    bool,
                    std::optional<double> scale,
                    const std::optional<at::Tensor>&,
                    std::optional<int64_t> window) {
  TORCH_CHECK(q.dim() == 4 && q.size(0) == 1 && q.size(2) == k.size(2) && q.size(3) % 4 == 0 &&
                  mask == 2 && longest_query && longest_key,
              "efficient attention does not take this");
  const at::Tensor rows = packed(q[0],
                                 k[0],
                                 v[0],
                                 queries,
                                 keys,
                                 longest_query->expect_int(),
                                 longest_key->expect_int(),
                                 scale,
                                 window.value_or(0));
  return {rows.unsqueeze(0), {}, {}, {}, *longest_query, *longest_key};
}

void launch_at_work(const std::function<void()>& launch) {
  const DeviceAtWork work;
  launch();
}

const bool kReady = [] {
  c10::SetAllocator(kDevice.type(), &memory());
  around_launches() = launch_at_work;
  return true;
}();

}  // namespace

DeviceAtWork::DeviceAtWork() { memory().enter(); }
DeviceAtWork::~DeviceAtWork() { memory().leave(); }

}  // namespace cuda_on_cpu

// Replace the library's functions of a build without CUDA.
const kernels::CudaKernelTable* kernels::cuda() { return &cuda_on_cpu::table(); }
kernels::Stream ops::current_stream() { return nullptr; }

}  // namespace precis

namespace at {
C10_REGISTER_TYPED_CLASS(CUDAHooksRegistry, "CUDAHooks", precis::cuda_on_cpu::Hooks)
}
namespace c10::impl {
C10_REGISTER_GUARD_IMPL(CUDA, precis::cuda_on_cpu::Guard)
}

namespace own = precis::cuda_on_cpu;

TORCH_LIBRARY_IMPL(_, CUDA, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&own::fallback>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", own::empty);
  m.impl("empty_strided", own::empty_strided);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("unfold", at::native::unfold);
  m.impl("copy_", own::copy);
  m.impl("_copy_from", own::copy_from);
  m.impl("_copy_from_and_resize", own::copy_from_and_resize);
  m.impl("scaled_dot_product_attention", own::attention);
  m.impl("_flash_attention_forward", own::flash_attention);
  m.impl("_efficient_attention_forward", own::efficient_attention);
}

TORCH_LIBRARY_IMPL(aten, AutogradCUDA, m) {
  m.impl("scaled_dot_product_attention", own::attention);
}
