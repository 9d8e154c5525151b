// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace precis {

enum class ErrorKind {
  kInvalidArgument,  // a request that cannot be met as it was made
  kNotFound,         // a file or name that does not exist
  kBadWeights,       // a file that is damaged or does not fit the model
  kUnsupported,      // well-formed, but not implemented by Precis
  kOutOfMemory,
  kCancelled,  // a callback asked to stop
  kBusy,       // too many requests wait; the same request may be accepted later
  kInternal,   // a defect of Precis itself
};

// The only exception type that Precis throws. The message says what is wrong, what was expected and
// where, e.g. "attention: keys have 8 heads, config says 4".
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace precis
