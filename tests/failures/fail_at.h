// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis::failures {

// What can be made to fail, anywhere in the process, at its n-th call.
enum class Layer {
  kNew,      // operator new, where code of Precis (or inlined into it) calls it
  kTensors,  // libtorch's allocator of what tensors hold on the CPU
  kFiles,    // what the system is asked to do with files: open, write, rename, ... (file_calls.cc)
};

// The n-th call from now on fails, and no other.
void fail_at(Layer layer, int64_t n);

// No call fails any more. Returns whether the n-th was reached.
bool stop_failing();

// For the layers: counts a call, and says whether it is the one.
bool is_to_fail(Layer layer);

// Blocks of operator new that are not deleted, whoever called it.
int64_t blocks_alive();

}  // namespace precis::failures
