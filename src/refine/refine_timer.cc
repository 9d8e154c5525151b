// SPDX-License-Identifier: Apache-2.0
#include "refine/refine_timer.h"

#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace precis {

RefineTimer::RefineTimer(const RefineOptions& options)
    : options_(options),
      inference_(c10::InferenceMode::is_enabled()),
      gradients_(c10::GradMode::is_enabled()),
      start_(now()) {}

double RefineTimer::now() const {
  if (options_.clock) return options_.clock();
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double RefineTimer::elapsed() const { return now() - start_; }

void RefineTimer::report() const {
  constexpr double kBeforeTheEnd = 0.99;  // 1 ends progress bars
  report(std::clamp(elapsed() / limit(), 0.0, kBeforeTheEnd));
}

void RefineTimer::report_end() const { report(1.0); }

void RefineTimer::report(double done) const {
  const c10::InferenceMode inference(inference_);
  const c10::AutoGradMode gradients(gradients_);
  PRECIS_CHECK(!options_.progress || options_.progress(done), kCancelled, "refine: cancelled");
}

}  // namespace precis
