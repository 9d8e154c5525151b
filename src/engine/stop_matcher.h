// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace precis {

// Ends a stream of text before the first stop text. Holds back text that may be the beginning of
// one until the text that follows decides.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Adds text. Returns the text that is now certain to be before any stop text; may be empty.
  std::string push(const std::string& text);
  // Ends the stream. Returns the text that was held back.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace precis
