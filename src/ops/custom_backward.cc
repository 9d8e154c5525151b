// SPDX-License-Identifier: Apache-2.0
#include "ops/custom_backward.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <memory>
#include <utility>

#include "base/check.h"

namespace precis::ops {
namespace {

using torch::autograd::variable_list;
using Forward = std::function<at::Tensor(const at::Tensor&)>;
using Backward = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& gradient)>;
using LinearBackward = std::function<at::Tensor(const at::Tensor& gradient)>;

class CustomBackward final : public torch::autograd::Node {
 public:
  // x: kept for the backward pass; undefined: nothing is kept.
  CustomBackward(Backward backward, const at::Tensor& x)
      : backward_(std::move(backward)), x_(x, false) {}

  variable_list apply(variable_list&& gradients) override {
    PRECIS_CHECK(!c10::GradMode::is_enabled(),
                 kUnsupported,
                 "a gradient of a gradient was asked for; kernels have only the first");
    if (!gradients.at(0).defined()) return {at::Tensor()};
    return {backward_(x_.unpack(), gradients.at(0))};
  }

  void release_variables() override { x_.reset_data(); }

 private:
  Backward backward_;
  torch::autograd::SavedVariable x_;
};

at::Tensor run(const at::Tensor& x,
               const Forward& forward,
               Backward backward,
               const at::Tensor& kept) {
  if (!c10::GradMode::is_enabled() || !x.requires_grad()) return forward(x);
  at::Tensor result;
  {
    const c10::NoGradGuard no_grad;
    result = forward(x);
  }
  auto node = std::make_shared<CustomBackward>(std::move(backward), kept);
  node->set_next_edges(torch::autograd::collect_next_edges(x));
  torch::autograd::create_gradient_edge(result, std::move(node));
  return result;
}

}  // namespace

at::Tensor with_backward(const at::Tensor& x, const Forward& forward, Backward backward) {
  return run(x, forward, std::move(backward), x);
}

at::Tensor with_backward(const at::Tensor& x, const Forward& forward, LinearBackward backward) {
  return run(x,
             forward,
             [backward = std::move(backward)](const at::Tensor&, const at::Tensor& gradient) {
               return backward(gradient);
             },
             {});
}

}  // namespace precis::ops
