// SPDX-License-Identifier: Apache-2.0
#include "ops/forward_selection.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/check.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

constexpr float kSmallest = 1e-30f;  // ridge, for columns of zeros

void check(const at::Tensor& gram, const at::Tensor& products, int64_t count, double ridge) {
  const bool fits = gram.dim() == 3 && products.dim() == 3 && gram.size(1) == gram.size(2) &&
                    gram.size(0) == products.size(0) && gram.size(1) == products.size(2);
  PRECIS_CHECK(fits && count >= 0 && count <= gram.size(1) && ridge > 0,
               kInvalidArgument,
               "forward_selection: gram [",
               gram.sizes(),
               "], products [",
               products.sizes(),
               "], ",
               count,
               " columns to choose, ridge ",
               ridge);
}

at::Tensor ridge_of(const at::Tensor& gram, double ridge) {
  return gram.diagonal(0, 1, 2).mean(1).mul(ridge).clamp_min(kSmallest);  // [h]
}

at::Tensor by_kernel(const at::Tensor& gram,
                     const at::Tensor& products,
                     int64_t count,
                     double ridge) {
  const at::Tensor from = gram.contiguous(), ridges = ridge_of(gram, ridge);
  at::Tensor remaining = products.clone(at::MemoryFormat::Contiguous);
  const int64_t problems = gram.size(0), n = gram.size(1);
  at::Tensor chosen = at::empty({problems, count}, gram.options().dtype(at::kLong));
  std::vector<float> scratch((count + 2) * n);
  for (int64_t i = 0; i < problems; ++i) {
    kernels::cpu().forward_selection({from[i].const_data_ptr<float>(),
                                      remaining[i].mutable_data_ptr<float>(),
                                      scratch.data(),
                                      chosen[i].mutable_data_ptr<int64_t>(),
                                      n,
                                      products.size(1),
                                      count,
                                      ridges[i].item<float>()});
  }
  return chosen;
}

}  // namespace

at::Tensor forward_selection(const at::Tensor& gram,
                             const at::Tensor& products,
                             int64_t count,
                             double ridge) {
  check(gram, products, count, ridge);
  const bool kernel =
      gram.is_cpu() && gram.scalar_type() == at::kFloat && products.scalar_type() == at::kFloat;
  return kernel ? by_kernel(gram, products, count, ridge)
                : reference::forward_selection(gram, products, count, ridge);
}

at::Tensor reference::forward_selection(const at::Tensor& gram,
                                        const at::Tensor& products,
                                        int64_t count,
                                        double ridge) {
  const at::Tensor raised = ridge_of(gram, ridge).unsqueeze(1);  // [h, 1]
  const at::Tensor columns = gram + at::diag_embed(raised.expand({-1, gram.size(1)}));
  at::Tensor residual = columns.diagonal(0, 1, 2).clone(), remaining = products;
  at::Tensor factors = at::empty({gram.size(0), 0, gram.size(1)}, gram.options());  // [h, step, n]
  std::vector<at::Tensor> chosen;
  at::Tensor open = at::zeros_like(residual);  // minus infinity for chosen columns
  for (int64_t step = 0; step < count; ++step) {
    const at::Tensor gains = remaining.square().sum(1) / residual + open;
    const at::Tensor best = gains.argmax(1, true);  // [h, 1]
    const auto at_best = [&](const at::Tensor& x) {
      return x.gather(2, best.unsqueeze(1).expand({-1, x.size(1), 1}));
    };
    const at::Tensor length = residual.gather(1, best).sqrt();  // [h, 1]
    const at::Tensor own = at_best(columns).squeeze(2);
    const at::Tensor earlier = at_best(factors).transpose(1, 2).bmm(factors).squeeze(1);
    const at::Tensor factor = (own - earlier) / length;
    remaining = remaining - at_best(remaining) / length.unsqueeze(2) * factor.unsqueeze(1);
    residual = at::maximum(residual - factor.square(), raised);
    open = open.scatter(1, best, -std::numeric_limits<double>::infinity());
    factors = at::cat({factors, factor.unsqueeze(1)}, 1);
    chosen.push_back(best);
  }
  if (chosen.empty()) return at::empty({gram.size(0), 0}, gram.options().dtype(at::kLong));
  return std::get<0>(at::cat(chosen, 1).sort(1));
}

}  // namespace precis::ops
