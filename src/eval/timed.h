// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace precis {

// Runs `work` and adds its duration to `ms`.
template <typename Work>
auto timed(double& ms, const Work& work) -> decltype(work()) {
  const auto start = std::chrono::steady_clock::now();
  auto result = work();
  ms += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace precis
