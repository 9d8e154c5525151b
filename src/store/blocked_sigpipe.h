// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <ctime>

namespace precis {

// While it lives, SIGPIPE of this thread is blocked, and one that a write caused is dropped:
// writing to a connection that the other side has closed would end the process, unless the
// application handles the signal.
class BlockedSigpipe {
 public:
  BlockedSigpipe() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    const sigset_t pipe = only_sigpipe();
    pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  BlockedSigpipe(const BlockedSigpipe&) = delete;
  BlockedSigpipe& operator=(const BlockedSigpipe&) = delete;
  ~BlockedSigpipe() {
    const sigset_t pipe = only_sigpipe();
    const timespec at_once{0, 0};
    if (!was_pending_) sigtimedwait(&pipe, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  static sigset_t only_sigpipe() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    return signals;
  }

  bool was_pending_ = false;  // before, which someone else waits for
  sigset_t before_;
};

}  // namespace precis
