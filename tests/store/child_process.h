// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <functional>
#include <vector>

namespace precis {

// A forked process that runs `work` and reports numbers through a pipe. Exits with 1 if `work`
// throws.
class ChildProcess {
 public:
  // Writes a number for the parent.
  using Report = std::function<void(int number)>;

  explicit ChildProcess(const std::function<void(const Report&)>& work) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    reading_ = ends[0];
    process_ = ::fork();
    if (process_ == 0) run(work, ends[1]);
    ::close(ends[1]);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    if (process_ > 0) {
      kill();
      wait();
    }
    ::close(reading_);
  }

  bool has_started() const { return process_ > 0; }
  void kill() const { ::kill(process_, SIGKILL); }
  // Waits for a number; 0 if it has ended.
  int next() const {
    int number = 0;
    return ::read(reading_, &number, sizeof(number)) == sizeof(number) ? number : 0;
  }
  // The exit status; 128 if it was killed.
  int wait() {
    int status = 0;
    if (process_ <= 0 || ::waitpid(process_, &status, 0) != process_) return -1;
    process_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }
  // The numbers that it has reported, after it has ended.
  std::vector<int> reported() const {
    std::vector<int> numbers;
    int number = 0;
    while (::read(reading_, &number, sizeof(number)) == sizeof(number)) numbers.push_back(number);
    return numbers;
  }

 private:
  [[noreturn]] static void run(const std::function<void(const Report&)>& work, int writing) {
    try {
      work([writing](int number) {
        if (::write(writing, &number, sizeof(number)) != sizeof(number)) ::_exit(2);
      });
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }

  int reading_ = -1;
  pid_t process_ = -1;
};

}  // namespace precis
