// SPDX-License-Identifier: Apache-2.0
#include "ops/vocabulary_loss.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "base/check.h"

namespace precis::ops {
namespace {

constexpr int64_t kLogitsPerBlock = int64_t{1} << 18;  // 1 MiB in float32

at::Tensor wide(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

// On a GPU one block: blocks would only add launches.
int64_t rows_per_block(const at::Tensor& logits) {
  if (!logits.is_cpu()) return std::max<int64_t>(1, logits.size(0));
  return std::max<int64_t>(1, kLogitsPerBlock / std::max<int64_t>(1, logits.size(1)));
}

// loss_of(log probabilities of a block, first row) returns the block's loss and a function that
// computes its gradient by the logits.
template <typename Loss>
at::Tensor sum_over_blocks(const at::Tensor& logits,
                           double scale,
                           const at::Tensor& gradient,
                           const Loss& loss_of) {
  PRECIS_CHECK(logits.dim() == 2 && (!gradient.defined() || gradient.sizes() == logits.sizes()),
               kInvalidArgument,
               "vocabulary loss: expected logits of 2 dimensions and a gradient like them, got [",
               logits.sizes(),
               "]");
  const c10::NoGradGuard no_grad;
  at::Tensor sum = at::zeros({}, logits.options().dtype(at::kDouble));
  const int64_t step = rows_per_block(logits);
  for (int64_t first = 0; first < logits.size(0); first += step) {
    const int64_t size = std::min(step, logits.size(0) - first);
    const auto [loss, by_logits] =
        loss_of(wide(logits.narrow(0, first, size)).log_softmax(1), first);
    sum += loss;
    if (gradient.defined()) gradient.narrow(0, first, size).copy_(by_logits().mul_(scale));
  }
  return sum;
}

}  // namespace

at::Tensor cross_entropy_sum(const at::Tensor& logits,
                             const at::Tensor& targets,
                             double scale,
                             const at::Tensor& gradient) {
  PRECIS_CHECK(
      targets.dim() == 1 && targets.size(0) == logits.size(0) && targets.scalar_type() == at::kLong,
      kInvalidArgument,
      "vocabulary loss: expected a target for each of ",
      logits.size(0),
      " rows, got [",
      targets.sizes(),
      "]");
  return sum_over_blocks(
      logits, scale, gradient, [&](const at::Tensor& log_probabilities, int64_t first) {
        const at::Tensor wanted = targets.narrow(0, first, log_probabilities.size(0)).unsqueeze(1);
        const at::Tensor loss = log_probabilities.gather(1, wanted).sum(at::kDouble).neg();
        return std::pair(loss, [log_probabilities, wanted] {
          at::Tensor by_logits = log_probabilities.exp();
          return by_logits.scatter_add_(
              1, wanted, at::full({wanted.size(0), 1}, -1.0, by_logits.options()));
        });
      });
}

at::Tensor divergence_sum(const at::Tensor& logits,
                          const at::Tensor& teacher,
                          double scale,
                          const at::Tensor& gradient) {
  PRECIS_CHECK(teacher.sizes() == logits.sizes(),
               kInvalidArgument,
               "vocabulary loss: logits [",
               logits.sizes(),
               "] do not fit the teacher's [",
               teacher.sizes(),
               "]");
  return sum_over_blocks(
      logits, scale, gradient, [&](const at::Tensor& log_probabilities, int64_t first) {
        const at::Tensor taught =
            wide(teacher.narrow(0, first, log_probabilities.size(0))).log_softmax(1);
        const at::Tensor share = taught.exp();
        const at::Tensor loss = at::sub(taught, log_probabilities).mul_(share).sum(at::kDouble);
        return std::pair(
            loss, [log_probabilities, share] { return log_probabilities.exp().sub_(share); });
      });
}

at::Tensor reference::cross_entropy_sum(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(wide(logits), targets, {}, at::Reduction::Sum);
}

at::Tensor reference::divergence_sum(const at::Tensor& logits, const at::Tensor& teacher) {
  return at::kl_div(wide(logits).log_softmax(1),
                    wide(teacher).log_softmax(1),
                    at::Reduction::Sum,
                    /*log_target=*/true);
}

}  // namespace precis::ops
