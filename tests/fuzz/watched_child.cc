// SPDX-License-Identifier: Apache-2.0
#include "fuzz/watched_child.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <new>
#include <stdexcept>
#include <thread>

#include "fuzz/input_file.h"

namespace precis::fuzz {
namespace {

// Processor time, so that a busy machine makes no input look slow.
double seconds_used(pid_t process) {
  clockid_t clock = 0;
  timespec used = {};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return 0;
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

uint64_t resident_bytes(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/statm");
  uint64_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string kill_child(pid_t child, const std::string& reason) {
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return reason;
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return "signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  }
  const int code = WEXITSTATUS(status);
  return code == 0 ? "" : "exit code " + std::to_string(code);
}

std::string watch(pid_t child, const Limits& limits, const CurrentInput& current) {
  uint64_t run = current.run;
  double began = 0;
  while (true) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == child) return describe(status);
    const double now = seconds_used(child);
    if (current.run != run) {
      run = current.run;
      began = now;
    }
    if (run > 0 && now - began > limits.seconds)
      return kill_child(child, "took more than " + std::to_string(limits.seconds) + " s");
    const uint64_t resident = resident_bytes(child);
    if (resident > limits.bytes)
      return kill_child(child, "took " + std::to_string(resident >> 20) + " MiB of memory");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

std::string run_watched(const Limits& limits,
                        CurrentInput& current,
                        const std::function<void()>& work) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork is refused");
  if (child == 0) {
    work();
    std::exit(0);
  }
  std::string failure = watch(child, limits, current);
  std::error_code ignored;
  std::filesystem::remove_all(directory_of_process(child), ignored);
  return failure;
}

CurrentInput& shared_input(size_t max_size) {
  void* memory = ::mmap(nullptr,
                        sizeof(CurrentInput) + max_size,
                        PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS,
                        -1,
                        0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return *new (memory) CurrentInput;
}

}  // namespace precis::fuzz
