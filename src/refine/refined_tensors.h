// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "precis/extend/memory_tensors.h"
#include "refine/refine_options.h"

namespace precis {

// The trainable tensors of a memory: embeddings, or keys and values of any shape. A tensor is
// given + size * change in float32 (float64 where it is float64), rounded to its own dtype; the
// change starts at 0 and is what the optimiser moves, so that one learning rate fits rows and heads
// of all sizes.
class RefinedTensors {
 public:
  // REQUIRES: gradients on.
  RefinedTensors(const MemoryTensors& given, const RefineRates& rates);

  // The memory as it would be returned now. Differentiable with respect to the changes.
  MemoryTensors memory() const;

  struct Part {
    at::Tensor given;   // [..., width], without gradients
    at::Tensor size;    // [..., 1], of each row
    at::Tensor change;  // [..., width], requires a gradient
    double rate;        // learning rate
    at::ScalarType dtype;
  };
  const std::vector<Part>& parts() const { return parts_; }

  // Saves the changes, and restores them.
  std::vector<at::Tensor> changes() const;
  void set_changes(const std::vector<at::Tensor>& changes);

 private:
  MemoryTensors given_;
  std::vector<Part> parts_;
};

}  // namespace precis
