// SPDX-License-Identifier: Apache-2.0
#include "nn/recompute.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <utility>

#include "precis/decoder.h"

namespace precis {
namespace {

thread_local int depth = 0;

}  // namespace

RecomputeActivations::RecomputeActivations() { ++depth; }
RecomputeActivations::~RecomputeActivations() { --depth; }
bool RecomputeActivations::is_wanted() { return depth > 0; }

namespace nn {
namespace {

using torch::autograd::variable_list;
using Block = std::function<at::Tensor(const at::Tensor&)>;

class Recomputed final : public torch::autograd::Node {
 public:
  Recomputed(Block block, const at::Tensor& x) : block_(std::move(block)), x_(x, false) {
    set_next_edges(torch::autograd::collect_next_edges(x));
  }

  variable_list apply(variable_list&& gradients) override {
    const at::AutoGradMode with_gradients(true);
    const at::Tensor x = x_.unpack().detach().requires_grad_(true);
    return torch::autograd::grad({block_(x)}, {x}, {gradients.at(0)});
  }

  void release_variables() override { x_.reset_data(); }

 private:
  Block block_;
  torch::autograd::SavedVariable x_;
};

}  // namespace

at::Tensor recomputed(Block block, const at::Tensor& x) {
  if (!c10::GradMode::is_enabled() || !x.requires_grad()) return block(x);
  at::Tensor result;
  {
    const c10::NoGradGuard no_grad;
    result = block(x);
  }
  torch::autograd::create_gradient_edge(result, std::make_shared<Recomputed>(std::move(block), x));
  return result;
}

}  // namespace nn
}  // namespace precis
