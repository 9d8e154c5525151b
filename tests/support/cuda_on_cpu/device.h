// SPDX-License-Identifier: Apache-2.0
// A CUDA device for ATen where there is none: a program that this is linked into, against a library
// built without CUDA, finds a GPU. Its memory is the CPU's, and readable only while something that
// a GPU would do is being done: the host that follows a pointer into it crashes, as beside a GPU.
// Its kernels are ours in the harness, and ATen's of the CPU, which are given to tensors of the
// device alone: one of the CPU among them (but for single numbers) is an error. There are no
// streams, and nothing is recorded: what is queued is done.
#pragma once

namespace precis::cuda_on_cpu {

// While one is alive, the device's memory can be read and written, by the thread that made it.
// Others wait.
class DeviceAtWork {
 public:
  DeviceAtWork();
  DeviceAtWork(const DeviceAtWork&) = delete;
  DeviceAtWork& operator=(const DeviceAtWork&) = delete;
  ~DeviceAtWork();
};

}  // namespace precis::cuda_on_cpu
