// SPDX-License-Identifier: Apache-2.0
// A CUDA device for ATen on machines without one: a program that links this, against a library
// built without CUDA, finds a GPU. Its memory is host memory that is readable only while device
// work runs: host code that follows a pointer into it crashes, as with a GPU. It runs our kernels
// in the harness and ATen's CPU kernels for the rest. A CPU tensor among device tensors is an
// error, except for scalars. There are no streams and no graph capture: work runs when it is
// queued.
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
