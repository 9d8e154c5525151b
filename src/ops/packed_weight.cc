// SPDX-License-Identifier: Apache-2.0
#include "ops/packed_weight.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>

#include "base/processor.h"
#include "ops/kernel_arguments.h"
#include "ops/linear.h"

namespace precis::ops {
namespace {

// Operators of torch.compile: in every build with oneDNN, but in no C++ header. An operator with
// another number of arguments, from another version of libtorch, is not used.
std::optional<c10::OperatorHandle> find(const char* name, size_t num_arguments) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, ""});
  if (!found || found->schema().arguments().size() != num_arguments) return std::nullopt;
  return found;
}

struct Operators {
  std::optional<c10::OperatorHandle> pack = find("mkldnn::_reorder_linear_weight", 2);
  std::optional<c10::OperatorHandle> multiply = find("mkldnn::_linear_pointwise", 6);
};

const Operators& operators() {
  static const Operators found;
  return found;
}

bool can_be_packed(const at::Tensor& weight) {
  return kernel_applies(weight) && weight.scalar_type() == at::kBFloat16 &&
         processor_has_bfloat16() && at::globalContext().userEnabledMkldnn() && operators().pack &&
         operators().multiply;
}

}  // namespace

PackedWeight::PackedWeight(const at::Tensor& weight) : plain_(weight) {
  if (!can_be_packed(weight)) return;
  // Arguments: the weight, the number of rows (any).
  c10::Stack stack{weight.contiguous(), c10::IValue()};
  operators().pack->callBoxed(stack);
  packed_ = stack.front().toTensor();
}

at::Tensor PackedWeight::operator()(const at::Tensor& x) const {
  // The operator has no backward pass.
  const bool applies = packed_.defined() && x.scalar_type() == at::kBFloat16 &&
                       kernel_applies(x, {plain_}) && !linear_by_kernel(x, plain_);
  if (!applies) return ops::linear(x, plain_);
  // Arguments: x, weight, no bias, no activation and none of its parameters.
  c10::Stack stack{x.contiguous(),
                   packed_,
                   c10::IValue(),
                   std::string("none"),
                   c10::List<std::optional<at::Scalar>>(),
                   std::string()};
  operators().multiply->callBoxed(stack);
  return stack.front().toTensor();
}

}  // namespace precis::ops
