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
using Backward = std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>;

class CustomBackward final : public torch::autograd::Node {
 public:
  CustomBackward(Backward backward, const at::Tensor& x)
      : backward_(std::move(backward)), x_(x, false) {
    set_next_edges(torch::autograd::collect_next_edges(x));
  }

  variable_list apply(variable_list&& gradients) override {
    PRECIS_CHECK(!c10::GradMode::is_enabled(),
                 kUnsupported,
                 "a gradient of a gradient was asked for; kernels have only the first");
    return {backward_(x_.unpack(), gradients.at(0))};
  }

  void release_variables() override { x_.reset_data(); }

 private:
  Backward backward_;
  torch::autograd::SavedVariable x_;
};

}  // namespace

at::Tensor with_backward(const at::Tensor& x,
                         const std::function<at::Tensor(const at::Tensor&)>& forward,
                         Backward backward) {
  if (!c10::GradMode::is_enabled() || !x.requires_grad()) return forward(x);
  at::Tensor result;
  {
    const c10::NoGradGuard no_grad;
    result = forward(x);
  }
  torch::autograd::create_gradient_edge(result,
                                        std::make_shared<CustomBackward>(std::move(backward), x));
  return result;
}

}  // namespace precis::ops
