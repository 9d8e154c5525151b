// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace precis {

// Cuts a stream of text before the first stop string: text that may be the start of one is held
// back until that is known.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The text that is now certain to come before any stop string.
  std::string push(const std::string& text);
  // What was held back, once nothing more comes.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace precis
