// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "refine/refine_options.h"

namespace precis {

// The time that a refinement has taken and may take. Borrows the options. Progress is reported with
// gradients and inference mode as they are where the timer is made: a callback may run the model
// for others.
class RefineTimer {
 public:
  explicit RefineTimer(const RefineOptions& options);

  double elapsed() const;  // seconds since construction
  double limit() const { return options_.seconds; }
  bool has_left(double seconds) const { return elapsed() + seconds <= limit(); }

  // Reports the share of the time that has passed, below 1. Throws kCancelled if the callback
  // returns false.
  void report() const;
  void report_end() const;

 private:
  double now() const;
  void report(double done) const;

  const RefineOptions& options_;
  bool inference_;  // modes of the caller
  bool gradients_;
  double start_;
};

}  // namespace precis
